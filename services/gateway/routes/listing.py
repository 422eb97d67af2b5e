"""Routes that list runs and open questions."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.api.runs import ApprovalPage, ApprovalView, RunPage
from schemas.event import State
from services.gateway.contents import shown_summaries
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import error_responses
from services.gateway.views import question_fields, summary_of
from shared.blackboard import RunIndex, UnreadableRun
from shared.runs import Run
from shared.service import Parts

router = APIRouter(tags=["runs"])

Limit = Annotated[int, Query(ge=1, le=200, description="Maximum runs on a page.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Offset of the page: an earlier `next_offset`.")]
InState = Annotated[State | None, Query(description="Only runs in this state.")]


@router.get("/v1/runs", summary="List runs", responses=error_responses())
async def list_runs(
    tenant: Tenant,
    parts: PartsDep,
    caller: CallerDep,
    state: InState = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> RunPage:
    """Runs, newest first. A page may have fewer runs than `limit` although a next page follows."""
    found, following = await _page(parts, tenant, state, limit, offset)
    return RunPage(runs=shown_summaries(map(summary_of, found), caller), next_offset=following)


@router.get("/v1/approvals", summary="List open questions", responses=error_responses())
async def list_approvals(tenant: Tenant, parts: PartsDep, limit: Limit = 50, offset: Offset = 0) -> ApprovalPage:
    """Questions for a person that the tenant's runs wait for, each with the details of its call."""
    found, following = await _page(parts, tenant, State.WAITING_HUMAN, limit, offset)
    asked = [
        ApprovalView(
            run_id=run.id,
            objective=run.task.objective,
            usage=run.usage,
            budget=run.task.budget,
            **question_fields(question),
        )
        for run in found
        if isinstance(run, Run)
        for question in run.questions.values()
    ]
    unreadable = [summary_of(run) for run in found if isinstance(run, UnreadableRun)]
    return ApprovalPage(approvals=asked, unreadable=unreadable, next_offset=following)


async def _page(
    parts: Parts, tenant: str, state: State | None, limit: int, offset: int
) -> tuple[list[Run | UnreadableRun], int | None]:
    """Return the runs in a state, and the offset of the next page."""
    index = RunIndex(parts.sentinel)
    if state is None:
        found = await index.latest(tenant, limit, offset)
        end = offset + len(found)  # expired runs have left the index
    else:
        found, end = await index.in_state(tenant, state, limit, offset)
    return found, end if end < await index.count(tenant) else None
