"""Handoffs that a run awaits: only these may still act for it."""

from schemas.event import ENDS
from shared.runs.run import Run


def in_flight(run: Run) -> list[str]:
    """Return the handoffs that were sent and not answered, also if the run has ended since."""
    ids = [run.planning.handoff_id, run.reviewing.handoff_id, *(each.handoff_id for each in run.steps.values())]
    return [id for id in ids if id is not None]


def awaited_handoffs(run: Run) -> list[str]:
    """Return the handoffs whose answers advance the run: none after its end, none of a dropped plan."""
    return [] if run.state in ENDS else in_flight(run)
