"""Web pages as readable text."""

import asyncio

from services.research.documents import READERS
from services.research.text import Text, decoded
from shared.tools import ToolError
from shared.tools.web.client import ELSEWHERE, Fetched

HTML = frozenset({"text/html", "application/xhtml+xml"})
TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


async def readable(page: Fetched) -> Text:
    """Return the text of a fetched page: HTML reduced to its main content, PDF, plain text or JSON.

    Raises ToolError `unsupported_content`, `unreadable_document` for a broken PDF, `too_costly` for a page
    that exceeds the reader's limits.
    """
    kind = page.media_type or _sniffed(page.body)
    if kind in HTML:
        found = await READERS.read("html", page.body, page.url[:200], {"url": page.url, "charset": page.charset})
        return Text(**found)
    if kind == "application/pdf":
        return Text(**await READERS.read("pdf", page.body, page.url[:200], {"name": page.url[:200]}))
    if kind.startswith(TEXTUAL) or kind.endswith(("+json", "+xml")):
        return Text(page.url, await asyncio.to_thread(decoded, page.body, page.charset))
    message = f"{page.url} is {kind[:100]}; only HTML, PDF, text and JSON can be read"
    raise ToolError("unsupported_content", message, suggested_action=ELSEWHERE)


def _sniffed(body: bytes) -> str:
    start = body[:1024].lstrip().lower()
    if start.startswith(b"%pdf-"):
        return "application/pdf"
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "application/octet-stream" if b"\x00" in start else "text/plain"
