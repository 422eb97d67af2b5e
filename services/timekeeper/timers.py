"""The timers that wait. Pure: it is told the time."""

import heapq
from typing import NamedTuple

from aiokafka import TopicPartition


class Due(NamedTuple):
    """A timer that is due."""

    place: TopicPartition
    id: str
    content: bytes
    due: float
    """Seconds since the epoch."""


class Timers:
    """Timers by partition and id; setting one again replaces it."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, dict[str, tuple[float, bytes]]] = {}
        self._complete: set[TopicPartition] = set()
        self._heap: list[tuple[float, TopicPartition, str]] = []

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def set(self, place: TopicPartition, id: str, due: float, content: bytes) -> None:
        """Let a timer wait until `due`, in seconds since the epoch."""
        self._waiting.setdefault(place, {})[id] = (due, content)
        if place in self._complete:
            heapq.heappush(self._heap, (due, place, id))

    def clear(self, place: TopicPartition, id: str) -> None:
        """Forget a timer."""
        self._waiting.get(place, {}).pop(id, None)

    def complete(self, place: TopicPartition) -> None:
        """All there was of the partition is known: what is due there may fire."""
        self._complete.add(place)
        for id, (due, _) in self._waiting.get(place, {}).items():
            heapq.heappush(self._heap, (due, place, id))

    def drop(self, place: TopicPartition) -> None:
        """Forget a partition."""
        self._complete.discard(place)
        self._waiting.pop(place, None)

    def next_due(self) -> float | None:
        """When the next one is due; None when none waits. It may turn out to have been cleared."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, limit: int) -> list[Due]:
        """At most `limit` timers that are due, the earliest first. They wait on until they are cleared."""
        found: list[Due] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, place, id = heapq.heappop(self._heap)
            known = self._waiting.get(place, {}).get(id)
            if known is not None and known[0] == due and place in self._complete:
                found.append(Due(place, id, known[1], due))
        return found

    def has(self, timer: Due) -> bool:
        """Whether it still waits as it was when it became due: neither cleared nor set again."""
        return self._waiting.get(timer.place, {}).get(timer.id) == (timer.due, timer.content)

    def again(self, timers: list[Due], due: float) -> None:
        """These could not be put where they belong: they are due once more at `due`, if they wait as they were."""
        for each in timers:
            if self.has(each):
                self.set(each.place, each.id, due, each.content)
