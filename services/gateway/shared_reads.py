"""Reads that many followers of one run make at the same moment, done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Depends, Request

T = TypeVar("T")


class SharedReads:
    """Reads in progress: a caller that asks for the same joins the one that is under way."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `read`, or of the read with this key that is in progress; raises what that raised."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.ensure_future(read())
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)  # one caller that leaves must not cancel it for the others


def reads_of(request: Request) -> SharedReads:
    """Return the reads of this process."""
    reads: SharedReads = request.app.state.reads
    return reads


ReadsDep: TypeAlias = Annotated[SharedReads, Depends(reads_of)]
