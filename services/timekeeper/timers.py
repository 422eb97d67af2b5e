"""The timers that wait. Pure: it is told the time."""

import heapq
from typing import NamedTuple


class Due(NamedTuple):
    """A timer that is due."""

    partition: int
    id: str
    content: bytes
    due: float
    """Seconds since the epoch."""


class Timers:
    """Timers by partition and id; setting one again replaces it."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[str, tuple[float, bytes]]] = {}
        self._complete: set[int] = set()
        self._heap: list[tuple[float, int, str]] = []

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def set(self, partition: int, id: str, due: float, content: bytes) -> None:
        """Let a timer wait until `due`, in seconds since the epoch."""
        self._waiting.setdefault(partition, {})[id] = (due, content)
        if partition in self._complete:
            heapq.heappush(self._heap, (due, partition, id))

    def clear(self, partition: int, id: str) -> None:
        """Forget a timer."""
        self._waiting.get(partition, {}).pop(id, None)

    def complete(self, partition: int) -> None:
        """All there was of the partition is known: what is due there may fire."""
        self._complete.add(partition)
        for id, (due, _) in self._waiting.get(partition, {}).items():
            heapq.heappush(self._heap, (due, partition, id))

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        self._complete.discard(partition)
        self._waiting.pop(partition, None)

    def next_due(self) -> float | None:
        """When the next one is due; None when none waits. It may turn out to have been cleared."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, limit: int) -> list[Due]:
        """At most `limit` timers that are due, the earliest first. They wait on until they are cleared."""
        found: list[Due] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            due, partition, id = heapq.heappop(self._heap)
            known = self._waiting.get(partition, {}).get(id)
            if known is not None and known[0] == due and partition in self._complete:
                found.append(Due(partition, id, known[1], due))
        return found

    def has(self, timer: Due) -> bool:
        """Whether it still waits as it was when it became due: neither cleared nor set again."""
        return self._waiting.get(timer.partition, {}).get(timer.id) == (timer.due, timer.content)

    def again(self, timers: list[Due], due: float) -> None:
        """These could not be put where they belong: they are due once more at `due`, if they wait as they were."""
        for each in timers:
            if self.has(each):
                self.set(each.partition, each.id, due, each.content)
