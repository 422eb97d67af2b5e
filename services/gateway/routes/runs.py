"""One run is looked at."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from schemas.event import State
from schemas.message import Id
from schemas.registry import EVENTS
from schemas.task import Result
from services.gateway.dependencies import PartsDep, RunSnapshot, SnapshotDep, StopsDep
from services.gateway.errors import Refused, error_responses
from services.gateway.trace import RunTrace, account, trace_of
from services.gateway.turns import Turn, turn_of, turns_in
from services.gateway.views import JournalView, RunView, view_of
from shared.blackboard import read_journal, read_live_events
from shared.runs.result import result_of
from shared.service import Parts

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=error_responses(404))


@router.get("", summary="Show a run")
async def show_run(snapshot: SnapshotDep, stops: StopsDep) -> RunView:
    """State, plan, steps, cost, the question a person has to answer, and what of it an operator has stopped."""
    return view_of(snapshot, stops)


@router.get("/result", summary="Get the result", responses=error_responses(409))
async def get_result(snapshot: SnapshotDep) -> Result:
    """What the caller gets, once the run has ended; before that 409 `not_finished`."""
    run = snapshot.run
    if run is None or not run.over:
        state = run.state if run else State.INTAKE
        message = f"the run is {state}" + (", and agents are still to report" if run and run.settling else "")
        action = f"follow GET /v1/runs/{snapshot.id}/events until it ends"
        raise Refused(409, "not_finished", message, retryable=True, action=action)
    return result_of(run)


@router.get("/trace", summary="Show what a run did")
async def show_trace(snapshot: SnapshotDep, parts: PartsDep) -> RunTrace:
    """Who worked when, for how long, how often and at what cost, with every turn and call so far; its trace's id."""
    trace = await _trace(snapshot, parts)
    journals = {
        work_id: await read_journal(parts.redis, snapshot.tenant, work_id)
        for work_id in {work_of(attempt.handoff_id) for attempt in trace.attempts}
    }
    for attempt in trace.attempts:
        account(attempt, journals[work_of(attempt.handoff_id)])
    return trace


@router.get("/steps/{step_id}/turns/{turn}", summary="Show the prompt of a turn")
async def show_turn(
    snapshot: SnapshotDep,
    parts: PartsDep,
    step_id: Annotated[Id, Path(description="The step; or `planner`, `reviewer`.")],
    turn: Annotated[int, Path(ge=1, le=10_000)],
    thought: Annotated[int, Query(ge=1, le=10_000, description="Which one, if the agent thinks several times.")] = 1,
    handoff_id: Annotated[Id | None, Query(description="Of an earlier round of the step; else its latest.")] = None,
) -> Turn:
    """The messages and tools the model was sent, word for word, and its reply. Once the turn was answered."""
    trace = await _trace(snapshot, parts)
    handoffs = [each.handoff_id for work in trace.works if work.id == step_id for each in work.attempts]
    if not handoffs:
        action = f"there are: {', '.join(work.id for work in trace.works) or 'none yet'}"
        raise Refused(404, "unknown_step", f"the run {snapshot.id} has begun no step {step_id}", action=action)
    if handoff_id is not None and handoff_id not in handoffs:
        raise Refused(404, "unknown_handoff", f"the step {step_id} has no handoff {handoff_id}")
    work_id = work_of(handoff_id or handoffs[-1])
    journal = await read_journal(parts.redis, snapshot.tenant, work_id)
    found = turn_of(journal, snapshot.id, step_id, work_id, thought, turn)
    if found is None:
        action = f"it has {turns_in(journal, thought)} so far; `thought` and `handoff_id` name others"
        raise Refused(404, "unknown_turn", f"the step {step_id} has no turn {turn}", action=action)
    return found


async def _trace(snapshot: RunSnapshot, parts: Parts) -> RunTrace:
    kept = await read_live_events(parts.redis, snapshot.tenant, snapshot.id)
    return trace_of(snapshot, [EVENTS[each.type].model_validate(each.data) for each in kept if each.type in EVENTS])


@router.get("/journal", summary="Show how a handoff was worked on")
async def show_journal(
    snapshot: SnapshotDep,
    parts: PartsDep,
    handoff_id: Annotated[Id, Query(description="As the run's events name it.")],
) -> JournalView:
    """The exact prompts, replies and tool results, by entry. Empty when the agent has recorded nothing yet."""
    if not handoff_id.startswith(f"{snapshot.id}/"):
        raise Refused(404, "unknown_handoff", f"the run {snapshot.id} has no handoff {handoff_id}")
    return JournalView(entries=await read_journal(parts.redis, snapshot.tenant, work_of(handoff_id)))


def work_of(handoff_id: str) -> str:
    """What a handoff is an attempt at: every one goes on with the same journal."""
    return handoff_id.rpartition(".")[0]
