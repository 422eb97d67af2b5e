"""Clock of a run: stopped while the run waits for a person or is paused."""

from datetime import datetime, timedelta

from schemas.event import State
from shared.runs.run import Run

CLOCKS_DIFFER = timedelta(seconds=1)
"""Clock difference below which a timer counts as on time. A timer that fires earlier is set again."""


def present_deadline(run: Run, now: datetime) -> datetime:
    """Return the deadline if the clock restarted now: extended by the stop, but not past the task's own deadline."""
    since = _stopped_since(run)
    moved = run.deadline + (now - since) if since else run.deadline
    return min(moved, run.task.deadline) if run.task.deadline else moved


def stands_still(run: Run) -> bool:
    """Return True while the clock of the run is stopped."""
    return run.state in (State.WAITING_HUMAN, State.PAUSED)


def _stopped_since(run: Run) -> datetime | None:
    waits = State.WAITING_HUMAN in (run.state, run.paused_from if run.state is State.PAUSED else None)
    if waits and run.waiting_since is not None:
        return run.waiting_since
    return run.paused_at if run.state is State.PAUSED else None
