"""The audit record: rows that match, one row with its place in the chain, and what calls cost."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.audit import AuditAnswer
from schemas.api.audit_costs import AuditCosts
from services.console.artefacts import download_headers
from services.console.gateway import GatewayFailure
from services.console.pages import page
from services.console.record import GROUPS, KINDS, RecordFilters, months
from services.console.routes.run import unknown_page
from services.console.run_filters import AGES
from services.console.streamed import Streamed, pieces_of
from services.console.visitor import VisitorDep

router = APIRouter(prefix="/records")

ROWS = 50
"""Rows on a page."""

LINES = 200
"""Lines of the page of costs."""

_RECORDS = "/v1/audit/records"
_BY = ("agent", "task_type")


@router.get("")
async def list_records(
    visitor: VisitorDep, cursor: Annotated[str, Query(pattern=r"^([0-9]{1,20}~[0-9]{1,20})?$")] = ""
) -> Response:
    """Rows that match, newest first, without contents."""
    filters = RecordFilters.given(visitor.request.query_params)
    params = filters.wanted | {"limit": str(ROWS)} | ({"cursor": cursor} if cursor else {})
    answer, failure = None, None
    try:
        answer = await visitor.gateway.ask(AuditAnswer, "GET", _RECORDS, params)
    except GatewayFailure as refused:
        if not filters.arguments or refused.error.code != "forbidden":
            raise
        failure = refused.error  # the role that contents need
    shown = {"answer": answer, "failure": failure, "filters": filters, "cursor": cursor}
    return page(visitor, "records.html", 200 if answer else 403, **shown, kinds=KINDS, ages=list(AGES))


@router.get("/export")
async def export_records(visitor: VisitorDep) -> Response:
    """All rows that match as a download: lines of JSON, without contents."""
    wanted = RecordFilters.given(visitor.request.query_params).wanted
    async with AsyncExitStack() as opened:
        answer = await opened.enter_async_context(visitor.gateway.opened("/v1/audit/export", wanted))
        headers = download_headers(f"audit-{visitor.tenant or 'default'}.jsonl")
        return visitor.keep(Streamed(pieces_of(answer), opened.pop_all(), headers))


@router.get("/cost")
async def sum_records(visitor: VisitorDep, month: str = "") -> Response:
    """Cost of calls in a month, by the names that are chosen."""
    offered, given = months(datetime.now(UTC)), visitor.request.query_params.getlist("by")
    chosen, by = month if month in offered else offered[0], [each for each in GROUPS if each in given] or list(_BY)
    params = {"month": chosen, "by": by, "limit": str(LINES)}
    costs = await visitor.gateway.ask(AuditCosts, "GET", "/v1/audit/cost", params)
    return page(visitor, "record_costs.html", costs=costs, months=offered, month=chosen, by=by, groups=GROUPS)


@router.get("/{number}")
async def show_row(
    visitor: VisitorDep, number: Annotated[int, Path(ge=1, le=2**53)], contents: bool = False
) -> Response:
    """A row with its facts and its place in the chain; its contents if that is asked for, which is recorded."""
    params = {"number": str(number)} | ({"contents": "true"} if contents else {})
    answer = await visitor.gateway.ask(AuditAnswer, "GET", _RECORDS, params)
    if not answer.rows:
        return unknown_page(visitor)
    return page(visitor, "record_row.html", row=answer.rows[0])
