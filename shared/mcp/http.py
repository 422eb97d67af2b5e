"""Connection to an MCP server at a URL, with a bound on the size of its answers."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
from mcp.client.streamable_http import streamable_http_client

from shared.mcp.declare import Declared
from shared.mcp.streams import Streams

LARGEST_ANSWER = 4 * 1_048_576
"""Bytes of one answer that is not a stream, or of one event of a stream."""

_EVENT_STREAM = "text/event-stream"


@asynccontextmanager
async def connected(server: Declared, answered: Callable[[int], None]) -> AsyncGenerator[Streams]:
    """Connect to the server for the duration of the context. The environment's proxies are ignored.

    `answered` is called with the status of each message that was sent, which the package does not pass on.
    """
    timeout = httpx2.Timeout(30.0, connect=server.connect_timeout, read=None)
    headers = {**server.headers, "Accept-Encoding": "identity"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False, transport=_Bounded(answered)) as client,
        streamable_http_client(str(server.url), http_client=client, max_sse_event_size=LARGEST_ANSWER) as streams,
    ):
        yield streams


class _Bounded(httpx2.AsyncHTTPTransport):
    """Bounds the bytes read of an answer."""

    def __init__(self, answered: Callable[[int], None]) -> None:
        super().__init__()
        self._answered = answered

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if request.method == "POST":
            self._answered(response.status_code)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.ReadError("the answer is compressed although that was not requested")
        if not response.headers.get("content-type", "").startswith(_EVENT_STREAM):
            assert isinstance(response.stream, httpx2.AsyncByteStream), "an asynchronous transport returns one"
            response.stream = _Cut(response.stream)
        return response


class _Cut(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise httpx2.ReadError(f"the answer has more than {LARGEST_ANSWER:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
