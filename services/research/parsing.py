"""Pages and PDFs as text, by parsers that a hostile document can overload.

Runs in a process that is killed at its limits (`documents.READERS`) and is not imported by any other.
"""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trafilatura
from pypdf import PdfReader

from services.research.text import MAX_CHARACTERS, Text, bounded, decoded, known_charset
from shared.tools import WITHOUT_IT, ToolError

MOST_HTML = 600_000
"""Maximum bytes of HTML parsed: parsing time grows faster than the cost of sending a hostile page."""


def html(content: bytes, url: str, charset: str | None) -> dict[str, Any]:
    """Return the main content of a page, as Markdown."""
    note = f"only the first {MOST_HTML:,} bytes of the page are read" if len(content) > MOST_HTML else None
    start = content[:MOST_HTML]
    # Without a known charset in the header, trafilatura finds the one the page declares or the bytes suggest.
    source = decoded(start, charset) if known_charset(charset) else start
    tree = trafilatura.load_html(source) if source.strip() else None
    if tree is None:
        return asdict(Text(url, "", note))
    title = " ".join((tree.findtext(".//title") or "").split())
    # Without metadata: the search for a date scans the whole page repeatedly.
    text = trafilatura.extract(tree, url=url, output_format="markdown", include_comments=False, with_metadata=False)
    return asdict(bounded(title or url, text or trafilatura.html2txt(source) or "", note))


def pdf(content: bytes, name: str) -> dict[str, Any]:
    """Return the text of a PDF, each page preceded by `[page N]`. Raises ToolError `unreadable_document`."""
    try:
        reader = PdfReader(io.BytesIO(content))
        title = str((reader.metadata and reader.metadata.title) or "").strip()
        text = _pages(reader)
    except MemoryError:
        raise
    except Exception as broken:  # Exceptions of pypdf on a broken file have no common base class.
        raise unreadable(name, f"cannot be read as PDF ({type(broken).__name__})") from broken
    if not text:
        raise unreadable(name, "is a PDF without text, perhaps scanned")
    return asdict(bounded(title or Path(name).name, text))


def _pages(reader: PdfReader) -> str:
    pages: list[str] = []
    length = 0
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text().strip()
        pages += [f"[page {number}]\n{text}"] if text else []
        length += len(text)
        if length > MAX_CHARACTERS:
            break
    return "\n\n".join(pages)


def unreadable(name: str, why: str) -> ToolError:
    """Build the error for a document that cannot be read."""
    return ToolError("unreadable_document", f"{name} {why}", suggested_action=WITHOUT_IT)
