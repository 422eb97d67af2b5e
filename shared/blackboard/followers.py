"""Everyone who follows a run live, fed by one reader: a follower costs a queue, no connection.

One connection of the process waits for news of all streams that are followed; a stream of this process's own wakes it
when another one joins. A follower first gets what it has missed, then what the reader brings. One that takes its events
too slowly is cut off: it resumes after the last id it got.
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
"""Seconds between that and the next None: thousands who wait for nothing must cost next to nothing."""

LONGEST_WAIT_MS = 1_000
"""How long one look for news waits: the longest a new follower waits for its first live event if it cannot be woken."""

MOST_WAITING = 1_000
"""Events that may wait for one follower."""

PAGE = 200
"""Events read at once from the past, and of each stream in one look for news."""

WAKES_KEPT_MS = 60_000
"""How long the stream lives that wakes this process's reader."""


class CutOff(Exception):
    """The follower took its events more slowly than they came, or this process stops: it may resume."""


@dataclass(eq=False, slots=True)
class _Follower:
    """One who follows. What ends it comes through the queue, too."""

    queue: asyncio.Queue[LiveEvent | Exception] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))

    def offer(self, event: LiveEvent) -> bool:
        """Queue an event; False, and the follower's end, when too many wait."""
        fits = self.queue.qsize() < MOST_WAITING
        self.queue.put_nowait(event if fits else CutOff())
        return fits

    def fail(self, why: Exception) -> None:
        """End it."""
        self.queue.put_nowait(why)

    async def next(self, within: float) -> LiveEvent | None:
        """Return the next event, or None when there is none within so many seconds. Raises what has ended it."""
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
    """A stream that is followed: how far it was read, and for whom."""

    position: str
    followers: set[_Follower] = field(default_factory=set)


class Followers:
    """The followers of this process."""

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
        """Yield the run's events after the given id, for ever; None whenever a few seconds pass without one.

        Raises CutOff, and Redis's errors: the follower may resume after the last id it got.
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
        """Stop reading; all who follow are cut off."""
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
        """Take the follower in. Returns the id up to which it must read the past itself."""
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
        """Yield what came after one id, up to another one."""
        while _number(after) < _number(until):
            page = await self._sentinel.client.xrange(key, f"({after}", until, count=PAGE)
            for event in map(live_event, page):
                yield event
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def _read(self) -> None:
        """Feed all followers for as long as there are any. What goes wrong ends every one of them."""
        client = self._sentinel.apart()
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
            self._reading = None  # at once: who joins from here on needs another reader
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
        """Have the reader look again, since another stream has joined. Many that join together wake it once."""
        self._joined = True
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._woken())

    async def _woken(self) -> None:
        client: Client = self._sentinel.client
        while self._joined:
            self._joined = False
            with suppress(*OUTAGES):  # it looks again by itself a little later
                async with client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._wakes, {"joined": "1"}, maxlen=1)
                    pipe.pexpire(self._wakes, WAKES_KEPT_MS)
                    await pipe.execute()


def _number(id: str) -> tuple[int, int]:
    """Return an id as it is ordered: `<change>-<number>`."""
    change, _, number = id.partition("-")
    return int(change), int(number or 0)


def _by_stream(found: Any) -> list[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Return the streams that were read with their entries, whichever shape the protocol version gives them."""
    streams = found.items() if isinstance(found, dict) else found or []
    shaped = ((key, read[0] if read and isinstance(read[0], list) else read) for key, read in streams)
    return [(key, entries) for key, entries in shaped if entries]
