"""Routes that show one run."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from schemas.api.runs import JournalView, RunView
from schemas.api.trace import RunTrace, Turn
from schemas.event import State
from schemas.message import Id
from schemas.progress import RunProgress, fold_progress
from schemas.registry import EVENTS
from schemas.task import Result
from services.gateway.contents import shown_run, shown_trace
from services.gateway.dependencies import CallerDep, PartsDep, RunSnapshot, SnapshotDep, StopsDep
from services.gateway.errors import Refused, error_responses
from services.gateway.trace import Journal, trace_of, work_id_of
from services.gateway.turns import count_turns, turn_of
from services.gateway.views import view_of
from shared.blackboard import read_journal, read_live_events
from shared.runs.result import result_of
from shared.service import Parts

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=error_responses(404))


@router.get("", summary="Show a run")
async def show_run(snapshot: SnapshotDep, stops: StopsDep, caller: CallerDep) -> RunView:
    """State, plan, steps, cost, the question for a person, and work that an operator has stopped.

    Answers of steps are shown to the role `contents` alone, questions to `contents` and `decide`.
    """
    return shown_run(view_of(snapshot, stops), caller)


@router.get("/result", summary="Get the result", responses=error_responses(409))
async def get_result(snapshot: SnapshotDep) -> Result:
    """The result of an ended run; before that 409 `not_finished`."""
    run = snapshot.run
    if run is None or not run.over:
        state = run.state if run else State.INTAKE
        message = f"the run is {state}" + (", and agents have yet to report" if run and run.settling else "")
        action = f"follow GET /v1/runs/{snapshot.id}/events until it ends"
        raise Refused(409, "not_finished", message, retryable=True, action=action)
    return result_of(run)


@router.get("/trace", summary="Show the trace of a run")
async def show_trace(snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> RunTrace:
    """Works, attempts, turns and tool calls so far, with times and cost, and the trace id.

    Notes of attempts are shown to the role `contents`, those of answers to `decide`, too.
    """
    progress = await _progress(snapshot, parts)
    trace = trace_of(snapshot, progress, await _journals(snapshot, parts, progress.handoffs))
    return shown_trace(trace, caller)


@router.get("/steps/{step_id}/turns/{turn}", summary="Show the prompt of a turn")
async def show_turn(
    snapshot: SnapshotDep,
    parts: PartsDep,
    step_id: Annotated[Id, Path(description="The step; or `planner`, `reviewer`.")],
    turn: Annotated[int, Path(ge=1, le=10_000)],
    thought: Annotated[int, Query(ge=1, le=10_000, description="Number of the thought, if the agent has several.")] = 1,
    handoff_id: Annotated[Id | None, Query(description="A handoff of an earlier round; default: the latest.")] = None,
) -> Turn:
    """The messages and tools sent to the model, word for word, and its reply. Available once the model has replied."""
    work_id = _chosen_work(snapshot, await _progress(snapshot, parts), step_id, handoff_id)
    journal = await read_journal(parts.redis, snapshot.tenant, work_id)
    found = turn_of(journal, snapshot.id, step_id, work_id, thought, turn)
    if found is None:
        action = f"it has {count_turns(journal, thought)} so far; `thought` and `handoff_id` select others"
        raise Refused(404, "unknown_turn", f"the step {step_id} has no turn {turn}", action=action)
    return found


@router.get("/journal", summary="Show the journal of a handoff")
async def show_journal(
    snapshot: SnapshotDep,
    parts: PartsDep,
    handoff_id: Annotated[Id, Query(description="The handoff, as the run's events name it.")],
) -> JournalView:
    """The exact prompts, replies and tool results, by entry. Empty if the agent has recorded nothing yet."""
    if not handoff_id.startswith(f"{snapshot.id}/"):
        raise _unknown_handoff(f"the run {snapshot.id} has no handoff {handoff_id}")
    return JournalView(entries=await read_journal(parts.redis, snapshot.tenant, work_id_of(handoff_id)))


async def _progress(snapshot: RunSnapshot, parts: Parts) -> RunProgress:
    kept = await read_live_events(parts.redis, snapshot.tenant, snapshot.id)
    return fold_progress(EVENTS[each.type].model_validate(each.data) for each in kept if each.type in EVENTS)


async def _journals(snapshot: RunSnapshot, parts: Parts, handoff_ids: Iterable[str]) -> dict[str, Journal]:
    """Return the journals of these handoffs by work id."""
    work_ids = {work_id_of(id) for id in handoff_ids}
    return {id: await read_journal(parts.redis, snapshot.tenant, id) for id in work_ids}


def _chosen_work(snapshot: RunSnapshot, progress: RunProgress, step_id: str, handoff_id: str | None) -> str:
    """Return the work id of a handoff of the step, by default the latest. Raises Refused 404."""
    work = progress.works.get(step_id)
    handoffs = [each.handoff_id for each in work.attempts] if work else []
    if not handoffs:
        started = ", ".join(each.id for each in progress.in_order_of_start) or "none yet"
        message = f"the run {snapshot.id} has not started a step {step_id}"
        raise Refused(404, "unknown_step", message, action=f"name a step that was started: {started}")
    if handoff_id is not None and handoff_id not in handoffs:
        raise _unknown_handoff(f"the step {step_id} has no handoff {handoff_id}")
    return work_id_of(handoff_id or handoffs[-1])


def _unknown_handoff(message: str) -> Refused:
    action = "GET the run's trace: it lists the handoffs"
    return Refused(404, "unknown_handoff", message, action=action)
