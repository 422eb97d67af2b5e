"""An answer of the gateway that a page passes on piece by piece."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack

import httpx
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


async def pieces_of(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the body of an answer as it arrives."""
    async for chunk in answer.aiter_bytes():
        yield chunk


class Streamed(StreamingResponse):
    """Pieces from what is open at the gateway. It is closed at the end, also if the browser left before the first."""

    def __init__(self, pieces: AsyncGenerator[bytes], opened: AsyncExitStack, headers: Mapping[str, str]) -> None:
        super().__init__(pieces, headers=headers)
        self._pieces = pieces
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces, and close."""
        async with self._opened:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._pieces.aclose()
