"""Live followers of runs, fed by one reader per process: a follower costs a queue, not a connection.

One connection blocks on all followed streams; a wake-up stream of this process interrupts it when another stream is
added. A follower first receives the events it missed, then those the reader delivers. A follower that consumes too
slowly is cut off and resumes after the last id it received.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from shared.blackboard import keys
from shared.blackboard.connect import OUTAGES, Client
from shared.blackboard.live import LiveEvent, live_event
from shared.blackboard.sentinel import Sentinel

IDLE = 5.0
"""Seconds without an event after which a follower is first given None."""

LONG_IDLE = 15.0
"""Seconds between that None and the next: thousands of idle followers must cost almost nothing."""

LONGEST_WAIT_MS = 1_000
"""Longest blocking read: how late the first live event of a new stream can be if the wake-up is lost."""

MOST_WAITING = 1_000
"""Events that may be queued for one follower."""

PAGE = 200
"""Events per read, of the past and of each stream."""

WAKES_KEPT_MS = 60_000
"""Lifetime of the stream that wakes this process's reader."""


class CutOff(Exception):
    """The follower consumed too slowly, or this process is stopping; the follower may resume."""


@dataclass(eq=False, slots=True)
class _Follower:
    """One follower. The error that ends it also arrives through the queue."""

    queue: asyncio.Queue[LiveEvent | Exception] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))

    def offer(self, event: LiveEvent) -> bool:
        """Queue an event; if too many are queued, end the follower and return False."""
        fits = self.queue.qsize() < MOST_WAITING
        self.queue.put_nowait(event if fits else CutOff())
        return fits

    def fail(self, why: Exception) -> None:
        """End the follower with this error."""
        self.queue.put_nowait(why)

    async def next(self, within: float) -> LiveEvent | None:
        """Return the next event, or None after `within` seconds without one. Raises the error that ended it."""
        try:
            async with asyncio.timeout(within):
                found = await self.queue.get()
        except TimeoutError:
            return None
        if isinstance(found, Exception):
            raise found
        return found


@dataclass(slots=True)
class _Stream:
    """A followed stream: the last id read, and its followers."""

    position: str
    followers: set[_Follower] = field(default_factory=set)


class Followers:
    """All followers of this process."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._streams: dict[str, _Stream] = {}
        self._reading: asyncio.Task[None] | None = None
        self._waking: asyncio.Task[None] | None = None
        self._joined = False
        self._wakes = keys.wakes(uuid4().hex)

    def __len__(self) -> int:
        return sum(len(stream.followers) for stream in self._streams.values())

    async def follow(self, tenant: str, run_id: str, after: str = "0") -> AsyncGenerator[LiveEvent | None]:
        """Yield the run's events after the given id, without end; yield None after a few seconds without an event.

        Raises CutOff and Redis's errors: the follower may resume after the last id it received.
        """
        key = keys.run(tenant, run_id, "events")
        follower, reached = _Follower(), _number(after)
        since = self._join(key, follower, await self._newest(key))
        try:
            async with aclosing(self._past(key, after, since)) as past:
                async for missed in past:
                    reached = _number(missed.id)
                    yield missed
            idle = IDLE
            while True:
                event = await follower.next(idle)
                idle = LONG_IDLE if event is None else IDLE
                if event is None or _number(event.id) > reached:
                    yield event
        finally:
            self._leave(key, follower)

    async def close(self) -> None:
        """Stop reading and cut off all followers."""
        self._fail(CutOff())
        tasks = [task for task in (self._reading, self._waking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _newest(self, key: str) -> str:
        """Return the id of the stream's last event."""
        last = await self._sentinel.client.xrevrange(key, count=1)
        return str(last[0][0]) if last else "0-0"

    def _join(self, key: str, follower: _Follower, newest: str) -> str:
        """Add the follower. Return the id up to which it must read past events itself."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(newest)
            self._wake()
        stream.followers.add(follower)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return stream.position

    def _leave(self, key: str, follower: _Follower) -> None:
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.followers.discard(follower)
        if not stream.followers:
            del self._streams[key]

    async def _past(self, key: str, after: str, until: str) -> AsyncGenerator[LiveEvent]:
        """Yield the events after `after`, up to and including `until`."""
        while _number(after) < _number(until):
            page = await self._sentinel.client.xrange(key, f"({after}", until, count=PAGE)
            for event in map(live_event, page):
                yield event
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def _read(self) -> None:
        """Feed all followers while there are any. An error ends all of them."""
        client = self._sentinel.dedicated_client()
        woken = "0"
        try:
            while self._streams:
                wanted = {key: stream.position for key, stream in self._streams.items()}
                found = await client.xread(wanted | {self._wakes: woken}, block=LONGEST_WAIT_MS, count=PAGE)
                for key, entries in _by_stream(found):
                    if key == self._wakes:
                        woken = entries[-1][0]
                    else:
                        self._feed(key, entries)
        except Exception as why:  # noqa: BLE001 -- each follower gets it
            self._fail(why)
        finally:
            self._reading = None  # before the await: a follower that joins now needs a new reader
            with suppress(*OUTAGES):
                await client.aclose()

    def _feed(self, key: str, entries: list[tuple[str, dict[str, str]]]) -> None:
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.position = entries[-1][0]
        for event in map(live_event, entries):
            stream.followers = {each for each in stream.followers if each.offer(event)}

    def _fail(self, why: Exception) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            for follower in stream.followers:
                follower.fail(why)

    def _wake(self) -> None:
        """Interrupt the reader, because a stream was added. Streams added together wake it once."""
        self._joined = True
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake_reader())

    async def _wake_reader(self) -> None:
        client: Client = self._sentinel.client
        while self._joined:
            self._joined = False
            with suppress(*OUTAGES):  # the blocking read ends by itself a little later
                async with client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._wakes, {"joined": "1"}, maxlen=1)
                    pipe.pexpire(self._wakes, WAKES_KEPT_MS)
                    await pipe.execute()


def _number(id: str) -> tuple[int, int]:
    """Return the sort key of an id `<change>-<number>`."""
    change, _, number = id.partition("-")
    return int(change), int(number or 0)


def _by_stream(found: Any) -> list[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Return the streams read with their entries; accepts the answers of both protocol versions."""
    streams = found.items() if isinstance(found, dict) else found or []
    shaped = ((key, read[0] if read and isinstance(read[0], list) else read) for key, read in streams)
    return [(key, entries) for key, entries in shaped if entries]
