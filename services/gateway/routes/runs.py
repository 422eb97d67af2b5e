"""Routes that show one run."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from schemas.api.runs import RunView
from schemas.api.trace import RunTrace
from schemas.event import State
from schemas.task import Result
from services.gateway.contents import shown_run, shown_trace
from services.gateway.dependencies import (
    CallerDep,
    PartsDep,
    RunId,
    RunSnapshot,
    SnapshotDep,
    StopsDep,
    Tenant,
    snapshot_of,
)
from services.gateway.errors import Refused, error_responses
from services.gateway.recorded_runs import recorded_snapshot
from services.gateway.routes.audit import RecordDep
from services.gateway.tracing import read_trace, read_trace_page
from services.gateway.views import present_view
from shared.runs.result import result_of

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=error_responses(404))


async def kept_snapshot_of(run_id: RunId, tenant: Tenant, parts: PartsDep, record: RecordDep) -> RunSnapshot:
    """Return the state of the run; of an ended run that Redis no longer has, as the audit record has it. 404 else."""
    try:
        return await snapshot_of(run_id, tenant, parts)
    except Refused:
        if (found := await recorded_snapshot(record, tenant, run_id)) is None:
            raise
        return found


KeptDep = Annotated[RunSnapshot, Depends(kept_snapshot_of)]


@router.get("", summary="Show a run")
async def show_run(snapshot: KeptDep, stops: StopsDep, caller: CallerDep, parts: PartsDep) -> RunView:
    """State, plan, steps, cost, the question for a person, and what holds it up: stopped work, agents that do not run.

    Answers of steps are shown to the role `contents` alone, questions to `contents` and `decide`. Once Redis no longer
    has an ended run, it comes from the audit record.
    """
    return shown_run(await present_view(snapshot, stops, parts), caller)


@router.get("/result", summary="Get the result", responses=error_responses(409))
async def get_result(snapshot: KeptDep) -> Result:
    """The result of an ended run; before that 409 `not_finished`."""
    run = snapshot.run
    if run is None or not run.over:
        state = run.state if run else State.INTAKE
        message = f"the run is {state}" + (", and agents have yet to report" if run and run.settling else "")
        action = f"follow GET /v1/runs/{snapshot.id}/events until it ends"
        raise Refused(409, "not_finished", message, retryable=True, action=action)
    return result_of(run)


@router.get("/trace", summary="Show the trace of a run")
async def show_trace(
    snapshot: SnapshotDep,
    parts: PartsDep,
    caller: CallerDep,
    events: Annotated[
        int | None, Query(ge=1, le=1_000, description="Only the work of that many events, the newest; default: all.")
    ] = None,
    before: Annotated[
        str | None, Query(pattern=r"^\d{1,20}-\d{1,20}$", description="Of those, the ones before: an earlier `older`.")
    ] = None,
) -> RunTrace:
    """Works, attempts, turns and tool calls so far, with times and cost, and the trace id; whole or a page of it.

    Notes of attempts are shown to the role `contents`, those of answers to `decide`, too.
    """
    if events is None and before is None:
        return shown_trace(await read_trace(parts, snapshot), caller)
    return shown_trace(await read_trace_page(parts, snapshot, events or 200, before), caller)
