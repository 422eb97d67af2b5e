"""Clock of a run: stopped while the run waits for a person or is paused."""

from datetime import datetime

from schemas.event import ENDS, State
from shared.runs.run import Run


def present_deadline(run: Run, now: datetime) -> datetime:
    """Return the deadline if the clock restarted now: extended by the stop, but not past the task's own deadline."""
    since = _stopped_since(run)
    moved = run.deadline + (now - since) if since else run.deadline
    return min(moved, run.task.deadline) if run.task.deadline else moved


def _stopped_since(run: Run) -> datetime | None:
    if run.state in ENDS:
        return None
    if run.request is not None:
        return run.request.at
    return run.paused_at if run.state is State.PAUSED else None
