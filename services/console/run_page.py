"""The parts of a run's page that change with the run: the page shows them, and live updates replace them."""

from typing import Any

from schemas.api.boards import BoardView
from schemas.api.runs import RunView
from schemas.api.trace import RunTrace
from schemas.task import path_of
from services.console.actions import offered
from services.console.gateway import Gateway, GatewayFailure
from services.console.graph import graph_of
from services.console.timeline import timeline_of

EVENTS = 200
"""Events on a page of the timeline."""


def shown_parts(run: RunView, trace: RunTrace, board: BoardView | None, *, stopped: bool | None) -> dict[str, Any]:
    """Return what the parts of the page that change with the run show. `stopped`: as `is_stopped` returns it."""
    steps = {step.id: step for step in run.steps}
    planned = run.plan.steps if run.plan else []
    return {
        "run": run,
        "trace": trace,
        "board": board,
        "steps": steps,
        "graph": graph_of(planned, steps),
        "path": path_of(run.steps),
        "works": timeline_of(trace),
        "actions": offered(run, stopped=stopped),
        "before": "",
    }


async def is_stopped(gateway: Gateway, run_id: str) -> bool | None:
    """Return True if the run itself is stopped; None for a visitor who may not see the stops."""
    try:
        return any(stop.scope == f"run:{run_id}" for stop in await gateway.stops())
    except GatewayFailure:
        return None


def board_marks(board: BoardView | None) -> list[str]:
    """Return what changes when the board does: the newest post, and the claims that are held."""
    entries, claims = (board.entries, board.claims) if board else ((), ())
    return [*(each.at.isoformat() for each in entries[-1:]), *(str(each.number) for each in claims)]
