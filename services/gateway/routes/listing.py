"""Runs are listed."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.event import State
from services.gateway.dependencies import PartsDep, Tenant
from services.gateway.errors import error_responses
from services.gateway.views import ApprovalPage, ApprovalView, RunPage, line_of
from shared.blackboard import UnreadableRun, keys
from shared.runs import Run
from shared.service import Parts

SCAN = 100
"""Runs loaded at once while looking for those in a state."""

FURTHEST = 1_000
"""Runs looked at for one page; a rare state may need several."""

router = APIRouter(tags=["runs"])

Limit = Annotated[int, Query(ge=1, le=200, description="Runs on a page, at most.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Where the page begins: an earlier `next_offset`.")]
InState = Annotated[State | None, Query(description="Only runs in this state.")]


@router.get("/v1/runs", summary="List runs", responses=error_responses())
async def list_runs(
    tenant: Tenant, parts: PartsDep, state: InState = None, limit: Limit = 50, offset: Offset = 0
) -> RunPage:
    """The newest first. With `state`, a page may hold fewer runs than `limit` and still have a next one."""
    found, following = await _page(parts, tenant, state, limit, offset)
    return RunPage(runs=[line_of(run) for run in found], next_offset=following)


@router.get("/v1/approvals", summary="List what waits for a person", responses=error_responses())
async def list_approvals(tenant: Tenant, parts: PartsDep, limit: Limit = 50, offset: Offset = 0) -> ApprovalPage:
    """Every question a run of the tenant waits with, with all there is to know about the call it is about."""
    found, following = await _page(parts, tenant, State.WAITING_HUMAN, limit, offset)
    asked = [
        ApprovalView(
            run_id=run.id,
            objective=run.task.objective,
            asked=run.request,
            usage=run.usage,
            budget=run.task.budget,
        )
        for run in found
        if isinstance(run, Run) and run.request
    ]
    unreadable = [line_of(run) for run in found if isinstance(run, UnreadableRun)]
    return ApprovalPage(approvals=asked, unreadable=unreadable, next_offset=following)


async def _page(
    parts: Parts, tenant: str, state: State | None, limit: int, offset: int
) -> tuple[list[Run | UnreadableRun], int | None]:
    """Runs in a state, and where the next page begins."""
    found: list[Run | UnreadableRun] = []
    at, last = offset, offset + FURTHEST
    while len(found) < limit and at < last:
        runs = await parts.runs.latest(tenant, min(SCAN, limit) if state is None else SCAN, at)
        fitting = [(n, run) for n, run in enumerate(runs, 1) if state in {None, run.state}][: limit - len(found)]
        found += [run for _, run in fitting]
        at += fitting[-1][0] if len(found) == limit else len(runs)
        if at >= await _count(parts, tenant):
            return found, None
    return found, at


async def _count(parts: Parts, tenant: str) -> int:
    return int(await parts.redis.zcard(keys.runs(tenant)))
