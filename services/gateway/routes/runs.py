"""One run is looked at."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.event import State
from schemas.message import Id
from schemas.task import Result
from services.gateway.failures import Refused, documented
from services.gateway.inputs import PartsOf, StandingOf
from services.gateway.views import JournalView, RunView, view_of
from shared.blackboard import read_journal
from shared.runs import ENDS
from shared.runs.result import result_of

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=documented(404))


@router.get("", summary="Show a run")
async def show_run(standing: StandingOf) -> RunView:
    """State, plan, steps, cost, and the question a person has to answer, if there is one."""
    return view_of(standing)


@router.get("/result", summary="Get the result", responses=documented(409))
async def get_result(standing: StandingOf) -> Result:
    """What the caller gets, once the run has ended; before that 409 `not_finished`."""
    run = standing.run
    if run is None or run.state not in ENDS:
        state = run.state if run else State.INTAKE
        message = f"the run is {state}"
        action = f"follow GET /v1/runs/{standing.id}/events until it ends"
        raise Refused(409, "not_finished", message, retryable=True, action=action)
    return result_of(run)


@router.get("/journal", summary="Show how a handoff was worked on")
async def show_journal(
    standing: StandingOf,
    parts: PartsOf,
    handoff_id: Annotated[Id, Query(description="As the run's events name it.")],
) -> JournalView:
    """The exact prompts, replies and tool results, by entry. Empty when the agent has recorded nothing yet."""
    if not handoff_id.startswith(f"{standing.id}/"):
        raise Refused(404, "unknown_handoff", f"the run {standing.id} has no handoff {handoff_id}")
    work_id = handoff_id.rpartition(".")[0]  # every attempt goes on with the same journal
    return JournalView(entries=await read_journal(parts.redis, standing.tenant, work_id))
