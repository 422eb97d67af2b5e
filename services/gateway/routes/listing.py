"""Routes that list runs and open questions."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from schemas.api.runs import ApprovalOrder, ApprovalPage, ApprovalQuery, RunPage, RunQuery
from services.gateway.access import Caller
from services.gateway.contents import shown_summaries
from services.gateway.dependencies import CallerDep, PartsDep, StopsDep, SweepDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.obstacles import with_obstacles
from services.gateway.recorded_runs import recorded_page
from services.gateway.routes.audit import RecordDep
from services.gateway.run_filters import cursor_of, place_of, wanted_of
from services.gateway.views import approval_at, approvals_of
from shared.audit import AuditStore
from shared.blackboard import UnreadableRun
from shared.blackboard.connect import Client
from shared.blackboard.entries import unreadable_row
from shared.blackboard.listing import RunIndex
from shared.blackboard.questions import open_questions_of, read_inbox

router = APIRouter(tags=["runs"])


@router.get("/v1/runs", summary="List runs", responses=error_responses())
async def list_runs(
    tenant: Tenant,
    query: Annotated[RunQuery, Query()],
    parts: PartsDep,
    stops: StopsDep,
    sweep: SweepDep,
    caller: CallerDep,
    record: RecordDep,
) -> RunPage:
    """Runs that match, newest first. A page may have fewer runs than `limit` although a next page follows."""
    if query.recorded:
        return await _recorded(record, tenant, query, caller)
    index = RunIndex(parts.sentinel)
    complete = await sweep.ask(tenant)
    wanted = wanted_of(query, tenant, [stop.scope for stop in stops])
    if wanted is None:
        return RunPage(runs=[], next_offset=None, indexing=not complete)
    await index.forget_expired(tenant)
    found = await index.find(tenant, wanted, query.limit, place_of(query.cursor, query.offset))
    runs = await with_obstacles(found.runs, tenant, parts, stops)
    return RunPage(
        runs=shown_summaries(runs, caller),
        next_offset=found.offset,
        next_cursor=cursor_of(found.after),
        indexing=not complete,
    )


async def _recorded(record: AuditStore, tenant: str, query: RunQuery, caller: Caller) -> RunPage:
    try:
        page = await recorded_page(record, tenant, query)
    except ValueError:
        action = "take `next_cursor` of a page with `recorded` as it is"
        raise Refused(422, "invalid_request", "query.cursor: is not that of a page", action=action) from None
    return page.model_copy(update={"runs": shown_summaries(page.runs, caller)})


@router.get("/v1/approvals", summary="List open questions", response_model=ApprovalPage, responses=error_responses())
async def list_approvals(
    tenant: Tenant, query: Annotated[ApprovalQuery, Query()], parts: PartsDep, sweep: SweepDep
) -> Response:
    """Questions for a person that the tenant's runs wait for, each with the details of its call."""
    complete = await sweep.ask(tenant)
    await RunIndex(parts.sentinel).forget_expired(tenant)
    page = await (_by_risk if query.order is ApprovalOrder.RISK else _by_age)(parts.redis, tenant, query)
    body = page.model_copy(update={"indexing": not complete}).model_dump_json()
    return Response(body, media_type="application/json")  # quicker than FastAPI, for 1,000 questions


async def _by_age(redis: Client, tenant: str, query: ApprovalQuery) -> ApprovalPage:
    found = await open_questions_of(redis, tenant, query.limit, query.offset)
    return ApprovalPage(
        approvals=[each for run in found.runs if not isinstance(run, UnreadableRun) for each in approvals_of(run)],
        unreadable=[unreadable_row(run) for run in found.runs if isinstance(run, UnreadableRun)],
        next_offset=found.end,
    )


async def _by_risk(redis: Client, tenant: str, query: ApprovalQuery) -> ApprovalPage:
    found = await read_inbox(redis, tenant, query.limit, query.offset, query.cursor, query.run_id)
    follows = found.last is not None and query.cursor is None and not query.run_id
    return ApprovalPage(
        approvals=[approval_at(each) for each in found.questions],
        unreadable=found.unreadable,
        next_offset=query.offset + query.limit if follows else None,
        next_cursor=found.last,
        total=found.slice.total,
        before=found.slice.before,
    )
