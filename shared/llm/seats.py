"""Seats of an endpoint: as many concurrent requests as its client has connections, first come, first served.

A request takes a seat before its budget is reserved and before the breaker admits it, so that one which never left this
process costs nothing and does not affect the breaker. It gives the seat up while it waits for anything else.
"""

import asyncio
from types import TracebackType
from typing import Self


class Seats:
    """The seats of one endpoint in this process."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    def seat(self) -> "Seat":
        """Return a seat to enter: `async with seats.seat() as seat`."""
        return Seat(self._free)


class Seat:
    """Seat of one request. Must not be entered twice."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._taken = False

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    async def aside(self, seconds: float) -> None:
        """Sleep without the seat, then queue for one."""
        self._leave()
        await asyncio.sleep(seconds)
        await self._take()

    async def _take(self) -> None:
        await self._free.acquire()
        self._taken = True

    def _leave(self) -> None:
        if self._taken:
            self._taken = False
            self._free.release()
