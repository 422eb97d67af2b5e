"""The clock of a run: it stands still while a person is asked, and while the run is paused."""

from datetime import datetime

from schemas.event import State
from shared.runs.machine import ENDS
from shared.runs.run import Run


def present_deadline(run: Run, now: datetime) -> datetime:
    """The deadline if the clock went on now: moved by as long as it has stood, but not past the task's own."""
    since = _stands_since(run)
    moved = run.deadline + (now - since) if since else run.deadline
    return min(moved, run.task.deadline) if run.task.deadline else moved


def _stands_since(run: Run) -> datetime | None:
    if run.state in ENDS:
        return None
    if run.request is not None:
        return run.request.at
    return run.paused_at if run.state is State.PAUSED else None
