"""UploadSlots under way: a few at once, spooled to disk piece by piece, whole in memory only one at a time."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from services.gateway.errors import unavailable

AT_ONCE = 8
OF_ONE_CALLER = 4
"""UploadSlots one gateway takes at the same time: each has up to the largest attachment on disk."""
_PIECE = 1_048_576


class UploadSlots:
    """FollowerSlots for uploads, and the one place where a whole file is in memory."""

    def __init__(self) -> None:
        self._under_way: Counter[str | None] = Counter()
        self.storing = asyncio.Semaphore(1)
        """Held while a whole file is in memory: Postgres takes a value only as a whole."""

    @contextmanager
    def slot(self, caller: str | None) -> Iterator[None]:
        """Hold a place. Raises Refused 503 when none is free, or the caller has its share."""
        if self._under_way.total() >= AT_ONCE or (caller is not None and self._under_way[caller] >= OF_ONE_CALLER):
            raise unavailable("too_many_uploads", "too many files are being uploaded at this moment")
        self._under_way[caller] += 1
        try:
            yield
        finally:
            self._under_way[caller] -= 1


async def spooled(body: AsyncIterator[bytes], file: BinaryIO) -> int:
    """Write a body to a file, outside of the event loop, and return its size."""
    size = 0
    waiting = bytearray()
    async for chunk in body:
        waiting += chunk
        size += len(chunk)
        if len(waiting) >= _PIECE:
            await asyncio.to_thread(file.write, waiting)
            waiting = bytearray()
    await asyncio.to_thread(file.write, waiting)
    return size


def spool() -> BinaryIO:
    """Open a file without a name, which is gone when it is closed."""
    return tempfile.TemporaryFile(prefix="waggle-upload-", buffering=0)
