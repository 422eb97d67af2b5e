"""Routes about the audit record, which the archivist writes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from schemas.api.audit import AuditAnswer, AuditConditions, AuditQuestion
from schemas.api.audit_costs import AuditCostQuestion, AuditCosts
from services.gateway.access import Caller
from services.gateway.audit import record_access
from services.gateway.audit_costs import costs_of
from services.gateway.audit_export import MEDIA_TYPE, first_page, lines_of
from services.gateway.audit_record import answer_of, position_of, question_of
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.rate_limit import limit
from shared.access.principals import EVERY, Role
from shared.audit import SYSTEM, AuditStore
from shared.audit.finding import Position, find
from shared.service import Parts

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=error_responses(429))

SEARCHES_PER_MINUTE = 300
"""Questions of a tenant; one by arguments opens thousands of rows."""


def record_of(request: Request) -> AuditStore:
    """Return the record."""
    record: AuditStore = request.app.state.record
    return record


RecordDep = Annotated[AuditStore, Depends(record_of)]


@router.get("/records", summary="Ask the audit record")
async def find_records(
    tenant: Tenant, query: Annotated[AuditQuestion, Query()], parts: PartsDep, record: RecordDep, caller: CallerDep
) -> AuditAnswer:
    """Model calls, tool calls, verdicts, decisions, transitions and all else that the tenant's runs did, newest first.

    Contents, and a question by arguments, need the role `contents`, too, and are recorded in the audit.
    """
    tenant = await _permitted(parts, caller, tenant, query)
    answer = await find(record, tenant, question_of(query), query.limit, _position(query.cursor))
    return answer_of(answer, shown=query.contents)


@router.get(
    "/export",
    summary="Export the audit record",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "Rows, newest first, one JSON object a line."}},
)
async def export_records(
    tenant: Tenant, query: Annotated[AuditConditions, Query()], parts: PartsDep, record: RecordDep, caller: CallerDep
) -> StreamingResponse:
    """All rows that meet the conditions, newest first, as they are on a page of `GET /v1/audit/records`.

    An answer that breaks off before its end is incomplete. Contents need the role `contents`, too, and are recorded
    in the audit once for the whole export.
    """
    tenant = await _permitted(parts, caller, tenant, query)
    question = question_of(query)
    first = await first_page(record, tenant, question)
    lines = lines_of(record, tenant, question, first, shown=query.contents)
    headers = {"Content-Disposition": f'attachment; filename="audit-{tenant}.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers=headers)


@router.get("/cost", summary="Sum up costs by the audit record")
async def sum_costs(
    tenant: Tenant, query: Annotated[AuditCostQuestion, Query()], parts: PartsDep, record: RecordDep
) -> AuditCosts:
    """Cost, tokens and calls of a tenant in a month or another time, by agent, type of task, model, tool, day, run.

    Other than `GET /v1/costs`, it covers all months in the record, and each call counts when it was made.
    """
    await _limit(parts, tenant)
    try:
        return await costs_of(record, tenant, query, datetime.now(UTC))
    except ValueError as wrong:
        action = "give a `month`, or a `since` that is before `until`"
        raise Refused(422, "invalid_request", f"query.{wrong}", action=action) from None


async def _permitted(parts: Parts, caller: Caller, tenant: str, query: AuditConditions) -> str:
    """Return the chain that the caller may ask. Raises Refused 403 and 429; records a look at contents."""
    if query.system:
        caller.act_for(EVERY)
        tenant = SYSTEM
    await _limit(parts, tenant)
    if query.contents or query.arguments:
        caller.need_also(Role.CONTENTS, "a question about contents")
        await record_access(parts, caller, tenant, "audit", query.run or "", query.name or "")
    return tenant


async def _limit(parts: Parts, tenant: str) -> None:
    message = f"tenant `{tenant}` may ask {SEARCHES_PER_MINUTE} times per minute"
    await limit(parts, f"audit-questions/{tenant}", tenant, SEARCHES_PER_MINUTE, message)


def _position(cursor: str | None) -> Position | None:
    try:
        return position_of(cursor)
    except ValueError:
        action = "take `next_cursor` of a page as it is"
        raise Refused(422, "invalid_request", "query.cursor: is not that of a page", action=action) from None
