"""Which offset of a partition may be committed while its messages finish in any order."""

from collections import deque


class OffsetTracker:
    """Follows one partition. Offsets are added in rising order and finished in any order."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()
        self.watermark: int | None = None
        """The offset to commit: everything below it is done. None before the first is."""

    def add(self, offset: int) -> None:
        """A message was taken."""
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """Its work is done and its outputs are published."""
        self._finished.add(offset)
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.remove(done)
            self.watermark = done + 1
