"""The timeline of a run: works with their attempts, each with the wait before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from schemas.api.trace import Attempt, RunTrace, Work
from schemas.progress import PERSON


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt, its number among those shown, and the seconds since the one before it had ended."""

    attempt: Attempt
    waited: float | None


@dataclass(frozen=True, slots=True)
class Worked:
    """A work with its attempts."""

    work: Work
    attempts: list[Tried]

    @property
    def is_persons(self) -> bool:
        """True for a question, which a person works on."""
        return self.work.agent == PERSON


def timeline_of(trace: RunTrace) -> list[Worked]:
    """Return the works of a trace, or of a page of it, in the order in which they were started."""
    return [Worked(work, list(_tried(work))) for work in trace.works]


def _tried(work: Work) -> Iterator[Tried]:
    ended = None
    for attempt in work.attempts:
        waited = (attempt.at - ended).total_seconds() if ended else None
        yield Tried(attempt, waited if waited and waited >= 1 else None)
        ended = attempt.at + timedelta(seconds=attempt.seconds) if attempt.seconds is not None else None
