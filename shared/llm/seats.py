"""Seats before an endpoint: no more requests at once than its client has connections, first come, first served.

A request takes its seat before money is reserved and before the breaker lets it in, so that one which never left this
process costs nothing and says nothing about the endpoint. Waiting for anything else gives the seat up meanwhile.
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
    """One request's place. Not to be entered twice."""

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
        """Wait so long without the seat, then queue for one again."""
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
