"""Work of a run as people are shown it: a step, or the part of the planner, the writer, the reviewer or a person."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from schemas.budget import Usage
from schemas.error import ErrorInfo


class WorkStatus(StrEnum):
    """Status of a work."""

    WAITING = "waiting"
    RUNNING = "running"
    ASKING = "asking"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Activity:
    """A model turn, a tool call or another step of an attempt; `turn`: number of the turn."""

    what: str
    at: datetime
    turn: int | None = None
    seconds: float | None = None


@dataclass(slots=True)
class WorkAttempt:
    """One handoff, or one question to a person."""

    handoff_id: str
    at: datetime
    seconds: float | None = None
    status: str = "running"
    note: str = ""
    by: str = ""
    error: ErrorInfo | None = None
    usage: Usage = field(default_factory=Usage)
    activities: list[Activity] = field(default_factory=list)
    continued: bool = False
    """True if it began before the first event of an incomplete history; its start is then that event's time."""

    @property
    def open(self) -> bool:
        """True while an answer is awaited."""
        return self.seconds is None

    def add(self, activity: Activity) -> None:
        """End the last activity and start this one."""
        self._end_activity(activity.at)
        self.activities.append(activity)

    def close(self, at: datetime, status: str, note: str = "", error: ErrorInfo | None = None) -> None:
        """Record the outcome."""
        self.seconds = (at - self.at).total_seconds()
        self.status, self.note, self.error = status, note, error
        self._end_activity(at)

    def _end_activity(self, at: datetime) -> None:
        if self.activities and (last := self.activities[-1]).seconds is None:
            last.seconds = (at - last.at).total_seconds()


@dataclass(slots=True)
class WorkProgress:
    """A step, or the part of the planner, the writer, the reviewer or a person."""

    id: str
    agent: str
    objective: str
    status: WorkStatus = WorkStatus.WAITING
    note: str = ""
    attempts: list[WorkAttempt] = field(default_factory=list)

    @property
    def current(self) -> WorkAttempt | None:
        """The open attempt."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].open else None

    @property
    def usage(self) -> Usage:
        """Usage of all attempts."""
        return sum((each.usage for each in self.attempts), Usage())

    @property
    def seconds(self) -> float:
        """Time of the closed attempts, without the waits between them."""
        return sum(each.seconds or 0.0 for each in self.attempts)

    @property
    def retries(self) -> int:
        """Number of attempts after a failed one."""
        return sum(before.status == "failed" for before, _ in pairwise(self.attempts))

    @property
    def doing(self) -> str:
        """The current activity; without an open attempt, the note of the last outcome."""
        if self.current is None:
            return self.note
        return self.current.activities[-1].what if self.current.activities else ""

    def elapsed(self, now: datetime) -> float:
        """Return the time of all attempts up to now."""
        running = (now - self.current.at).total_seconds() if self.current else 0.0
        return max(0.0, self.seconds + running)
