"""HTTP client with a bound on the size of an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai

LARGEST_REPLY = 4 * 1_048_576
"""Bytes of an uncompressed answer: the longest requested reply has a few hundred thousand, escapes included."""

LARGEST_VECTORS = 64 * 1_048_576
"""Bytes of an answer with embeddings, up to a hundred thousand per text."""


class TooLarge(httpx2.ReadError):
    """The answer exceeds the bound; the rest was not read."""


class BoundedClient(openai.DefaultAioHttpClient):
    """Client on aiohttp's transport, which halves the cost per call with a thousand concurrent calls."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """Send, and return the response with its body. Raises TooLarge."""
        try:
            return await self._whole(request, stream, more)
        except aiohttp.ClientError as broken:  # unmapped by the transport: the answer is not HTTP
            raise httpx2.RemoteProtocolError(type(broken).__name__, request=request) from broken

    async def _whole(self, request: httpx2.Request, stream: bool, more: dict[str, Any]) -> httpx2.Response:
        response = await super().send(request, stream=True, **more)
        if stream:
            return response
        try:
            content = await _read(
                response, LARGEST_VECTORS if request.url.path.endswith("/embeddings") else LARGEST_REPLY
            )
        finally:
            await response.aclose()
        plain = [(name, value) for name, value in response.headers.raw if name.lower() not in _OF_THE_WIRE]
        return httpx2.Response(
            response.status_code, headers=plain, content=content, request=request, extensions=response.extensions
        )


_OF_THE_WIRE = {b"content-encoding", b"content-length", b"transfer-encoding"}
"""Headers about the body's encoding on the wire; it is decoded by now."""


@dataclass(slots=True)
class Received:
    """Bytes of answers, uncompressed."""

    bytes: int = 0


_COUNTED: ContextVar[Received | None] = ContextVar("received", default=None)


@contextmanager
def counting() -> Iterator[Received]:
    """Count the bytes received in this block, including unusable answers."""
    received = Received()
    before = _COUNTED.set(received)
    try:
        yield received
    finally:
        _COUNTED.reset(before)


async def _read(response: httpx2.Response, most: int) -> bytes:
    content, received = bytearray(), _COUNTED.get() or Received()
    async for chunk in response.aiter_bytes():
        content += chunk
        received.bytes = len(content)
        if len(content) > most:
            raise TooLarge(f"more than {most} bytes", request=response.request)
    return bytes(content)
