"""The timers that wait. Pure: it is told the time.

Contents are kept up to a bound in all; beyond it a timer is only a reference, and its content is read from the topic
when it is due. A parked timer names scopes of the kill switch: it is due as soon as none of them is stopped.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import TopicPartition

MOST_KEPT = 64 * 1_048_576
"""Bytes of contents in memory."""


class Due(NamedTuple):
    """A timer that is due."""

    place: TopicPartition
    id: str
    content: bytes | None
    """None: it must be read from where the timer stands."""
    due: float
    """Seconds since the epoch."""
    topic: str = ""
    """Where its record goes, without the prefix."""
    offset: int = 0
    """Where the timer stands in its partition."""
    serial: int = 0
    """Tells one setting of the timer from the next."""


class _Waiting(NamedTuple):
    """A timer as it waits."""

    timer: Due
    parked_by: frozenset[str]


class Timers:
    """Timers by partition and id; setting one again replaces it."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._waiting: dict[TopicPartition, dict[str, _Waiting]] = {}
        self._complete: set[TopicPartition] = set()
        self._heap: list[tuple[float, TopicPartition, str]] = []
        self._parked: set[tuple[TopicPartition, str]] = set()
        self._stopped: frozenset[str] | None = None
        self._most_kept = most_kept
        self._serial = 0
        self.kept = 0
        """Bytes of contents in memory."""

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def parked(self) -> int:
        """Timers that are parked."""
        return len(self._parked)

    def set(
        self,
        place: TopicPartition,
        id: str,
        due: float,
        content: bytes,
        *,
        topic: str = "",
        offset: int = 0,
        parked_by: Iterable[str] = (),
    ) -> None:
        """Let a timer wait until `due`, in seconds since the epoch."""
        self.clear(place, id)
        kept = content if self.kept + len(content) <= self._most_kept else None
        self._put(Due(place, id, kept, due, topic, offset), frozenset(parked_by))

    def clear(self, place: TopicPartition, id: str) -> None:
        """Forget a timer."""
        gone = self._waiting.get(place, {}).pop(id, None)
        if gone is not None:
            self.kept -= len(gone.timer.content or b"")
            self._parked.discard((place, id))

    def complete(self, place: TopicPartition) -> None:
        """All there was of the partition is known: what is due there may fire."""
        self._complete.add(place)
        for id, waiting in self._waiting.get(place, {}).items():
            heapq.heappush(self._heap, (waiting.timer.due, place, id))

    def drop(self, place: TopicPartition) -> None:
        """Forget a partition."""
        self._complete.discard(place)
        for id in list(self._waiting.get(place, {})):
            self.clear(place, id)
        self._waiting.pop(place, None)

    def release(self, stopped: frozenset[str] | None, now: float) -> None:
        """Take note of what is stopped; parked timers that are not stopped by it are due now."""
        if stopped is None or stopped == self._stopped:
            return
        self._stopped = stopped
        for place, id in list(self._parked):
            waiting = self._waiting[place][id]
            if not waiting.parked_by & stopped:
                self.again([waiting.timer], min(now, waiting.timer.due))

    def next_due(self) -> float | None:
        """When the next one is due; None when none waits. It may turn out to have been cleared."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, limit: int) -> list[Due]:
        """At most `limit` timers that are due, the earliest first. They wait on until they are cleared."""
        found: list[Due] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, place, id = heapq.heappop(self._heap)
            known = self._waiting.get(place, {}).get(id)
            if known is not None and known.timer.due == due and place in self._complete:
                found.append(known.timer)
        return found

    def has(self, timer: Due) -> bool:
        """Whether it still waits as it was when it became due: neither cleared nor set again."""
        known = self._waiting.get(timer.place, {}).get(timer.id)
        return known is not None and known.timer.serial == timer.serial

    def again(self, timers: list[Due], due: float) -> None:
        """Let these be due once more at `due`, if they wait as they were."""
        for each in timers:
            if self.has(each):
                parked_by = self._waiting[each.place][each.id].parked_by
                self.clear(each.place, each.id)
                self._put(each._replace(due=due), parked_by)

    def _put(self, timer: Due, parked_by: frozenset[str]) -> None:
        self._serial += 1
        self.kept += len(timer.content or b"")
        waiting = _Waiting(timer._replace(serial=self._serial), parked_by)
        self._waiting.setdefault(timer.place, {})[timer.id] = waiting
        if parked_by:
            self._parked.add((timer.place, timer.id))
        if timer.place in self._complete:
            heapq.heappush(self._heap, (timer.due, timer.place, timer.id))
