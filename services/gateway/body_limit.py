"""No request is read further than its route allows, nor waited for longer than a caller needs to send it."""

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.errors import answer, too_large, too_slow

STALLED = 20.0
LONGEST = 600.0
"""Seconds without a byte of a body, and seconds for the whole of it."""


class BodyLimit:
    """Refuses a body that is declared too large before reading it, and any other once it has grown too large."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on with its body counted as it is read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._limit_of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and float(declared) > limit:
            return await answer(413, too_large(limit).error)(scope, receive, send)
        return await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    taken, whole, ends = 0, False, time.monotonic() + LONGEST

    async def counted() -> Message:
        nonlocal taken, whole
        if whole:  # what comes is that the caller has gone, whenever that is
            return await receive()
        try:
            async with asyncio.timeout(min(STALLED, ends - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        whole = not message.get("more_body", False)
        taken += len(message.get("body", b""))
        if taken > limit:
            raise too_large(limit)
        return message

    return counted
