"""Committable offset of a partition whose messages finish in any order."""

import time
from collections import deque


class OffsetTracker:
    """Tracks one partition. Offsets are added in rising order and finished in any order."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self.watermark: int | None = None
        """The offset to commit: everything below it is done. None until the first message is done."""
        self._since = time.monotonic()
        """Time the watermark last rose, or the first message was taken after all were done."""

    def add(self, offset: int) -> None:
        """Record that a message was taken."""
        if not self._taken:
            self._since = time.monotonic()
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """Record that a message is done and its outputs are published."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.remove(done)
            self.watermark = done + 1
            self._since = time.monotonic()

    def passed(self, offset: int) -> None:
        """Skip to an offset with no records in between, only control batches such as transaction markers.

        Applies once every message is done; until then the messages determine the offset to commit.
        """
        if not self._taken and offset > (self.watermark or 0):
            self.watermark = offset
            self._since = time.monotonic()

    def behind(self, end: int) -> int:
        """Return the number of messages before `end` that are not done."""
        first = self._taken[0] if self._taken else self.watermark
        return 0 if first is None else max(0, end - first - len(self._finished))

    @property
    def commit_age(self) -> float:
        """Seconds since the watermark last rose; 0 if no message is in progress."""
        return time.monotonic() - self._since if self._taken else 0.0
