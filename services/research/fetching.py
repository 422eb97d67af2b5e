"""Web pages as readable text."""

import asyncio

import trafilatura

from services.research.documents import Text, decoded, pdf_text
from shared.tools import ToolError
from shared.tools.net import ELSEWHERE, Fetched

HTML = frozenset({"text/html", "application/xhtml+xml"})
TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


async def readable(page: Fetched) -> Text:
    """The text of a fetched page: HTML without its furniture, PDF, plain text or JSON.

    Raises ToolError `unsupported_content`, or `unreadable_document` for a broken PDF.
    """
    return await asyncio.to_thread(_readable, page)


def _readable(page: Fetched) -> Text:
    kind = page.media_type or _sniffed(page.body)
    if kind in HTML:
        return _html(page)
    if kind == "application/pdf":
        return pdf_text(page.body, page.url)
    if kind.startswith(TEXTUAL) or kind.endswith(("+json", "+xml")):
        return Text(page.url, decoded(page.body, page.charset))
    message = f"{page.url} is {kind[:100]}; only HTML, PDF, text and JSON can be read"
    raise ToolError("unsupported_content", message, suggested_action=ELSEWHERE)


def _sniffed(body: bytes) -> str:
    start = body[:1024].lstrip().lower()
    if start.startswith(b"%pdf-"):
        return "application/pdf"
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "application/octet-stream" if b"\x00" in start else "text/plain"


def _html(page: Fetched) -> Text:
    # Without a charset in the header, trafilatura finds the one the page declares or the bytes suggest.
    source = decoded(page.body, page.charset) if page.charset else page.body
    if not source.strip():
        return Text(page.url, "")
    found = trafilatura.extract_with_metadata(source, url=page.url, output_format="markdown", include_comments=False)
    text = (found and found.text) or trafilatura.html2txt(source)
    return Text((found and found.title) or page.url, text or "")
