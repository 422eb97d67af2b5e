"""Waiting timers. Pure: the caller passes the time.

Contents are kept in memory up to a total bound; beyond it a timer is only a reference, and its content is read from the
topic when it is due. A parked timer names scopes of the kill switch: it is due as soon as none of them is stopped.
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
    """Content; None if it must be read from the topic, at `offset`."""
    due: float
    """Seconds since the epoch."""
    topic: str = ""
    """Target topic of its record, without the prefix."""
    offset: int = 0
    """Offset of the timer in its partition."""
    serial: int = 0
    """Distinguishes successive settings of the same timer."""


class _Waiting(NamedTuple):
    """A waiting timer, with the scopes that park it."""

    timer: Due
    parked_by: frozenset[str]


class Timers:
    """Timers by partition and id; setting a timer replaces the one with the same id."""

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
        """Number of parked timers."""
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
        """Set a timer that is due at `due`, in seconds since the epoch."""
        self.clear(place, id)
        kept = content if self.kept + len(content) <= self._most_kept else None
        self._put(Due(place, id, kept, due, topic, offset), frozenset(parked_by))

    def clear(self, place: TopicPartition, id: str) -> None:
        """Remove a timer."""
        gone = self._waiting.get(place, {}).pop(id, None)
        if gone is not None:
            self.kept -= len(gone.timer.content or b"")
            self._parked.discard((place, id))

    def complete(self, place: TopicPartition) -> None:
        """Mark a partition as completely read: its due timers may fire."""
        self._complete.add(place)
        for id, waiting in self._waiting.get(place, {}).items():
            heapq.heappush(self._heap, (waiting.timer.due, place, id))

    def drop(self, place: TopicPartition) -> None:
        """Remove all timers of a partition."""
        self._complete.discard(place)
        for id in list(self._waiting.get(place, {})):
            self.clear(place, id)
        self._waiting.pop(place, None)

    def release(self, stopped: frozenset[str] | None, now: float) -> None:
        """Apply the set of stopped scopes: parked timers outside of it are due now."""
        if stopped is None or stopped == self._stopped:
            return
        self._stopped = stopped
        for place, id in list(self._parked):
            waiting = self._waiting[place][id]
            if not waiting.parked_by & stopped:
                self.postpone([waiting.timer], min(now, waiting.timer.due))

    def next_due(self) -> float | None:
        """Return the time of the next due timer, which may have been cleared since; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, limit: int) -> list[Due]:
        """Return at most `limit` timers that are due, earliest first. They stay set until cleared."""
        found: list[Due] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, place, id = heapq.heappop(self._heap)
            known = self._waiting.get(place, {}).get(id)
            if known is not None and known.timer.due == due and place in self._complete:
                found.append(known.timer)
        return found

    def has(self, timer: Due) -> bool:
        """Return True if the timer is unchanged since it became due: neither cleared nor replaced."""
        known = self._waiting.get(timer.place, {}).get(timer.id)
        return known is not None and known.timer.serial == timer.serial

    def postpone(self, timers: list[Due], due: float) -> None:
        """Make these timers due at `due`, if they are unchanged."""
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
