"""Route that sends a command to all runs that match a filter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends

from schemas.api.commands import CommandRequest, ReasonedRequest
from schemas.api.run_batch import MOST_RUNS, SHOWN_FIRST, RunBatchProgress, RunBatchRequest, RunBatchSelection
from schemas.api.runs import RunSummary
from services.gateway.access import Caller
from services.gateway.contents import shown_summaries
from services.gateway.dependencies import CallerDep, PartsDep, RunSnapshot, StopsDep, SweepDep, Tenant, snapshot_of
from services.gateway.errors import Refused, error_responses
from services.gateway.routes.commands import cancel_run, pause_run, resume_run
from services.gateway.routes.stops import scope_of, stop
from services.gateway.run_batch import Act, act_on_all, narrowed
from services.gateway.run_filters import wanted_of
from shared.blackboard.listing import RunIndex
from shared.service import Parts

router = APIRouter(tags=["commands"], responses=error_responses(409))


class Selected(NamedTuple):
    """Runs to act on, the oldest first."""

    runs: list[RunSummary]
    complete: bool


async def selected_runs(
    order: RunBatchRequest, tenant: Tenant, parts: PartsDep, stops: StopsDep, sweep: SweepDep, caller: CallerDep
) -> Selected:
    """Return the runs, before the answer starts: after that no error status can be sent.

    Raises Refused 409 if there are more than the caller expects, and 403 or 422 if the caller may not do it.
    """
    if not order.dry_run:
        caller.acting_name(order.by)
    if order.action == "stop":
        scope_of("run:any", caller)
    await sweep.ask(tenant)
    index = RunIndex(parts.sentinel)
    await index.forget_expired(tenant)
    scopes = {each.scope for each in stops}
    wanted = wanted_of(order.filter, tenant, sorted(scopes))
    found, complete = await index.select(tenant, narrowed(wanted, order.action), MOST_RUNS) if wanted else ([], True)
    if order.action == "stop":
        found = [run for run in found if f"run:{run.run_id}" not in scopes]
    selected = Selected(found[::-1], complete)
    if order.expected is not None and len(selected.runs) > order.expected:
        raise _more_than_expected(len(selected.runs), order.expected)
    return selected


def _more_than_expected(found: int, expected: int) -> Refused:
    message = f"{found} runs match now, and {expected} were expected; nothing was sent"
    action = "look at the preview once more (`dry_run`) and confirm its number, or narrow the filter by `until`"
    return Refused(409, "more_than_expected", message, action=action)


@router.post("/v1/runs/batch", summary="Command many runs")
async def act_on_runs(
    order: RunBatchRequest,
    selected: Annotated[Selected, Depends(selected_runs)],
    tenant: Tenant,
    parts: PartsDep,
    caller: CallerDep,
) -> AsyncIterator[RunBatchSelection | RunBatchProgress]:
    """JSON lines: first the number of runs, then one line per run. Stops when the caller disconnects.

    Repeat the request to continue: runs that have taken the command do not match any more, or skip it.
    """
    first = shown_summaries(selected.runs[:SHOWN_FIRST], caller)
    yield RunBatchSelection(action=order.action, of=len(selected.runs), complete=selected.complete, first=first)
    if order.dry_run:
        return
    act = _act(order, tenant, parts, caller)
    async with aclosing(act_on_all([run.run_id for run in selected.runs], act, order.rate)) as outcomes:
        async for line in outcomes:
            yield line


def _act(order: RunBatchRequest, tenant: str, parts: Parts, caller: Caller) -> Act:
    """Return the function that sends the command to one run, as its own route does."""
    if order.action == "resume":
        plain = CommandRequest(by=order.by)
        return lambda run_id: _with_snapshot(resume_run, plain, run_id, tenant, parts, caller)
    reasoned = ReasonedRequest(by=order.by, reason=order.reason)
    match order.action:
        case "pause":
            return lambda run_id: _with_snapshot(pause_run, reasoned, run_id, tenant, parts, caller)
        case "cancel":
            return lambda run_id: cancel_run(reasoned, run_id, tenant, parts, caller)
        case "stop":
            return lambda run_id: stop(f"run:{run_id}", reasoned, parts, caller)


async def _with_snapshot(
    command: Callable[[Any, RunSnapshot, Parts, Caller], Awaitable[object]],
    order: CommandRequest,
    run_id: str,
    tenant: str,
    parts: Parts,
    caller: Caller,
) -> object:
    return await command(order, await snapshot_of(run_id, tenant, parts), parts, caller)
