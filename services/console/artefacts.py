"""Files of runs, shown safely: Markdown and tables as text, images by their first bytes, the rest as downloads."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from services.console.gateway import Gateway
from services.console.markdown import rendered
from services.console.pages import pretty
from services.console.visible import visible

LARGEST_SHOWN = 1_048_576
"""Bytes of a file that a page shows: 1 MiB."""

LARGEST_IMAGE = 10 * 1_048_576
"""Bytes of an image that a page shows: 10 MiB."""

ROWS, COLUMNS, CELL = 200, 40, 500
"""Rows, columns and characters of a cell that are shown of a table."""

_MAGIC: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_MARKDOWN = frozenset({"text/markdown", "text/x-markdown"})
_CSV = frozenset({"text/csv", "text/tab-separated-values"})
_TEXT = frozenset({"text/plain", "application/x-ndjson", "text/x-log", "text/x-python", "application/sql"})


@dataclass(frozen=True, slots=True)
class Shown:
    """A file as a page shows it; `kind`: markdown, table, text, image, or none for a download alone."""

    kind: str
    markup: Markup | None = None
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    cut: bool = False
    """True if the file has more than is shown."""


def image_type(content: bytes) -> str | None:
    """Return the media type of an image that browsers only draw; None for anything else, SVG included."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _MAGIC.items() if content.startswith(start)), None)


async def read_file(gateway: Gateway, sha256: str, most: int) -> tuple[str, bytes, bool]:
    """Return media type and content of a file, at most that many bytes, and True if it has more."""
    content = bytearray()
    async with gateway.opened(f"/v1/files/{quote(sha256, safe='')}") as answer:
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > most:
                return media_type, bytes(content[:most]), True
    return media_type, bytes(content), False


def shown_file(media_type: str, content: bytes, *, cut: bool) -> Shown:
    """Return the form in which a page shows the file."""
    if image_type(content):
        return Shown("image")
    if media_type in _CSV:
        return _of_csv(content, "\t" if media_type.endswith("values") else ",", cut=cut)
    if media_type in _MARKDOWN:
        return Shown("markdown", markup=rendered(_text(content)), cut=cut)
    if media_type == "application/json":
        return _of_json(_text(content), cut=cut)
    if media_type in _TEXT:
        return Shown("text", text=_text(content), cut=cut)
    return Shown("none")


def _text(content: bytes) -> str:
    return content.decode(errors="replace").removeprefix("\ufeff")


def _of_csv(content: bytes, delimiter: str, *, cut: bool) -> Shown:
    text = _text(content)
    try:
        lines = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), ROWS + 2))
    except csv.Error:
        return Shown("text", text=text, cut=cut)
    return _table(lines[0] if lines else [], lines[1:], cut=cut)


def _of_json(text: str, *, cut: bool) -> Shown:
    """Return a list of objects as a table, anything else as text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value[:ROWS]):
        header = list(dict.fromkeys(name for each in value[:ROWS] for name in each))
        return _table(header, [[_cell(each.get(name)) for name in header] for each in value[: ROWS + 1]], cut=cut)
    return Shown("text", text=pretty(text), cut=cut)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, cut: bool) -> Shown:
    wide = len(header) > COLUMNS or any(len(row) > COLUMNS for row in rows)
    shown = [[each[:CELL] for each in row[:COLUMNS]] for row in rows[:ROWS]]
    return Shown("table", header=header[:COLUMNS], rows=shown, cut=cut or wide or len(rows) > ROWS)


def download_headers(name: str) -> dict[str, str]:
    """Return the headers of a download: no browser opens it as a page."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(visible(name)[:200], safe='')}",
        "Content-Type": "application/octet-stream",
    }
