"""One run is looked at."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.event import State
from schemas.message import Id
from schemas.registry import EVENTS
from schemas.task import Result
from services.gateway.failures import Refused, documented
from services.gateway.inputs import PartsOf, StandingOf
from services.gateway.trace import RunTrace, account, trace_of
from services.gateway.views import JournalView, RunView, view_of
from shared.blackboard import read_journal, told
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


@router.get("/trace", summary="Show what a run did")
async def show_trace(standing: StandingOf, parts: PartsOf) -> RunTrace:
    """Who worked when, for how long, how often and at what cost, with every turn and call so far; its trace's id."""
    kept = await told(parts.redis, standing.tenant, standing.id)
    events = [EVENTS[each.type].model_validate(each.data) for each in kept if each.type in EVENTS]
    trace = trace_of(standing, events)
    journals = {
        work_id: await read_journal(parts.redis, standing.tenant, work_id)
        for work_id in {work_of(attempt.handoff_id) for attempt in trace.attempts}
    }
    for attempt in trace.attempts:
        account(attempt, journals[work_of(attempt.handoff_id)])
    return trace


@router.get("/journal", summary="Show how a handoff was worked on")
async def show_journal(
    standing: StandingOf,
    parts: PartsOf,
    handoff_id: Annotated[Id, Query(description="As the run's events name it.")],
) -> JournalView:
    """The exact prompts, replies and tool results, by entry. Empty when the agent has recorded nothing yet."""
    if not handoff_id.startswith(f"{standing.id}/"):
        raise Refused(404, "unknown_handoff", f"the run {standing.id} has no handoff {handoff_id}")
    return JournalView(entries=await read_journal(parts.redis, standing.tenant, work_of(handoff_id)))


def work_of(handoff_id: str) -> str:
    """What a handoff is an attempt at: every one goes on with the same journal."""
    return handoff_id.rpartition(".")[0]
