"""Which offset of a partition may be committed while its messages finish in any order."""

import time
from collections import deque


class OffsetTracker:
    """Follows one partition. Offsets are added in rising order and finished in any order."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self.watermark: int | None = None
        """The offset to commit: everything below it is done. None before the first is."""
        self._since = time.monotonic()
        """When the watermark rose last, or the first message was taken after all were done."""

    def add(self, offset: int) -> None:
        """A message was taken."""
        if not self._taken:
            self._since = time.monotonic()
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """Its work is done and its outputs are published."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.remove(done)
            self.watermark = done + 1
            self._since = time.monotonic()

    def passed(self, offset: int) -> None:
        """Nothing but what is no record, such as a transaction's marker, lies between the last message and the offset.

        Counts once every message is done: until then the offset to commit is theirs.
        """
        if not self._taken and offset > (self.watermark or 0):
            self.watermark = offset
            self._since = time.monotonic()

    def behind(self, end: int) -> int:
        """How many messages before `end` are not done."""
        first = self._taken[0] if self._taken else self.watermark
        return 0 if first is None else max(0, end - first - len(self._finished))

    @property
    def standing(self) -> float:
        """Seconds for which the watermark has stood still although messages were taken."""
        return time.monotonic() - self._since if self._taken else 0.0
