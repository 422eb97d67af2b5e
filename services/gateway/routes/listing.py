"""Routes that list runs and open questions."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.api.runs import ApprovalPage, ApprovalView, RunPage
from schemas.event import State
from services.gateway.dependencies import PartsDep, Tenant
from services.gateway.errors import error_responses
from services.gateway.views import summary_of
from shared.blackboard import UnreadableRun, keys
from shared.runs import Run
from shared.service import Parts

SCAN = 100
"""Runs loaded per read when filtering by state."""

FURTHEST = 1_000
"""Maximum runs examined for one page; runs in a rare state may need several pages."""

router = APIRouter(tags=["runs"])

Limit = Annotated[int, Query(ge=1, le=200, description="Maximum runs on a page.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Offset of the page: an earlier `next_offset`.")]
InState = Annotated[State | None, Query(description="Only runs in this state.")]


@router.get("/v1/runs", summary="List runs", responses=error_responses())
async def list_runs(
    tenant: Tenant, parts: PartsDep, state: InState = None, limit: Limit = 50, offset: Offset = 0
) -> RunPage:
    """Runs, newest first. With `state`, a page may have fewer runs than `limit` although a next page follows."""
    found, following = await _page(parts, tenant, state, limit, offset)
    return RunPage(runs=[summary_of(run) for run in found], next_offset=following)


@router.get("/v1/approvals", summary="List open questions", responses=error_responses())
async def list_approvals(tenant: Tenant, parts: PartsDep, limit: Limit = 50, offset: Offset = 0) -> ApprovalPage:
    """Questions for a person that the tenant's runs wait for, each with the details of its call."""
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
    unreadable = [summary_of(run) for run in found if isinstance(run, UnreadableRun)]
    return ApprovalPage(approvals=asked, unreadable=unreadable, next_offset=following)


async def _page(
    parts: Parts, tenant: str, state: State | None, limit: int, offset: int
) -> tuple[list[Run | UnreadableRun], int | None]:
    """Return the runs in a state, and the offset of the next page."""
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
