"""Upload slots. Uploads are spooled to disk in pieces; only one file at a time is whole in memory."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from services.gateway.errors import unavailable

AT_ONCE = 8
OF_ONE_CALLER = 4
"""Concurrent uploads per gateway and per caller: each takes up to the largest attachment on disk."""

_PIECE = 1_048_576
"""Bytes per write to disk: 1 MiB."""


class UploadSlots:
    """Slots for uploads, and the semaphore of the one file that is whole in memory."""

    def __init__(self) -> None:
        self._in_progress: Counter[str | None] = Counter()
        self.storing = asyncio.Semaphore(1)
        """Held while a file is whole in memory: Postgres takes a value only as a whole."""

    @contextmanager
    def slot(self, caller: str | None) -> Iterator[None]:
        """Hold a slot. Raises Refused 503 if none is free or the caller has its share."""
        if self._in_progress.total() >= AT_ONCE or (caller is not None and self._in_progress[caller] >= OF_ONE_CALLER):
            raise unavailable("too_many_uploads", "too many uploads are in progress")
        self._in_progress[caller] += 1
        try:
            yield
        finally:
            self._in_progress[caller] -= 1


async def spooled(body: AsyncIterator[bytes], file: BinaryIO) -> int:
    """Write a body to a file, outside the event loop, and return its size."""
    size = 0
    buffer = bytearray()
    async for chunk in body:
        buffer += chunk
        size += len(chunk)
        if len(buffer) >= _PIECE:
            await asyncio.to_thread(file.write, buffer)
            buffer = bytearray()
    await asyncio.to_thread(file.write, buffer)
    return size


def spool() -> BinaryIO:
    """Open an unnamed file that is deleted when it is closed."""
    return tempfile.TemporaryFile(prefix="waggle-upload-", buffering=0)
