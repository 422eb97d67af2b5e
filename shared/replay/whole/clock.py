"""Clock of a branch: begins when its run did, and passes over the time in which nothing happens."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(slots=True)
class Clock:
    """Time since the start of a run."""

    start: datetime
    _ahead: timedelta = field(default_factory=timedelta)
    _began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the time of the branch."""
        return self.start + timedelta(seconds=time.monotonic() - self._began) + self._ahead

    def advance(self, to: datetime) -> None:
        """Pass over the time until then."""
        self._ahead += max(timedelta(), to - self.now())
