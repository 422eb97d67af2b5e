"""`HttpStub`: a real HTTP server on this machine in place of the one that a tool calls."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple, Self

_LONGEST_HEAD = 64 * 1024
"""Bytes of the head of a request."""


class HttpRequest(NamedTuple):
    """A request that the stub has received."""

    method: str
    path: str
    """With the query, as sent."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class HttpStub:
    """Serves fixed answers: `async with HttpStub({"/de.json": {"invoice": "Rechnung"}}) as server`.

    An answer is data, sent as JSON with status 200, or an int, sent as a status without a body. Any other path is
    answered with 404. `answers` may be changed while the server runs.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.requests: list[HttpRequest] = []
        """Requests received so far, in order."""
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port`, as an allow list names it."""
        assert self._server is not None, "the stub serves inside `async with`"
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://{self.address}"

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            self.requests.append(request)
            writer.write(_response(self.answers.get(request.path, HTTPStatus.NOT_FOUND.value)))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, as a test of a broken connection wants
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> HttpRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return HttpRequest(method, path, headers, body)


def _response(answer: Any) -> bytes:
    failed = isinstance(answer, int) and not isinstance(answer, bool)
    status, body = (answer, b"") if failed else (200, json.dumps(answer).encode())
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
