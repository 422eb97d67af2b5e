"""Which handoffs a run awaits: the only ones that may still act for it."""

from shared.runs.machine import ENDS
from shared.runs.run import Run


def in_flight(run: Run) -> list[str]:
    """The handoffs that were asked for and have not been answered, also when the run has ended since."""
    ids = [run.planning.handoff_id, run.reviewing.handoff_id, *(each.handoff_id for each in run.steps.values())]
    return [id for id in ids if id is not None]


def awaited(run: Run) -> list[str]:
    """The handoffs whose answers the run goes on from. None when it has ended; none of a dropped plan."""
    return [] if run.state in ENDS else in_flight(run)
