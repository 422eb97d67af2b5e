"""The parts of a run's page that change with the run: the page shows them, and live updates replace them."""

from typing import Any

from schemas.api.runs import RunView
from schemas.api.trace import RunTrace
from services.console.graph import graph_of
from services.console.timeline import timeline_of

EVENTS = 200
"""Events on a page of the timeline."""


def shown_parts(run: RunView, trace: RunTrace) -> dict[str, Any]:
    """Return what the parts of the page that change with the run show."""
    steps = {step.id: step for step in run.steps}
    planned = run.plan.steps if run.plan else []
    return {
        "run": run,
        "trace": trace,
        "steps": steps,
        "graph": graph_of(planned, steps),
        "works": timeline_of(trace),
        "before": "",
    }
