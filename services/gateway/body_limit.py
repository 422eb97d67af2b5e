"""Limits on the size of request bodies and on the time to receive them."""

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.errors import error_response, too_large, too_slow

STALLED = 20.0
LONGEST = 600.0
"""Maximum seconds without a byte of a body, and for a whole body."""


class BodyLimit:
    """Middleware that rejects a body whose declared or actual size exceeds the limit of its path."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on and count its body as it is read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._limit_of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and float(declared) > limit:
            return await error_response(413, too_large(limit).error)(scope, receive, send)
        return await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    received, complete, ends = 0, False, time.monotonic() + LONGEST

    async def counted() -> Message:
        nonlocal received, complete
        if complete:  # the next message is the disconnect, which may come at any time
            return await receive()
        try:
            async with asyncio.timeout(min(STALLED, ends - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        complete = not message.get("more_body", False)
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large(limit)
        return message

    return counted
