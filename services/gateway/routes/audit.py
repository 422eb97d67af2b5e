"""Routes about the audit record, which the archivist writes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from schemas.api.audit import AuditAnswer, AuditQuestion
from services.gateway.audit import record_access
from services.gateway.audit_record import answer_of, position_of, question_of
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.rate_limit import limit
from shared.access.principals import EVERY, Role
from shared.audit import SYSTEM, AuditStore
from shared.audit.finding import Position, find

router = APIRouter(prefix="/v1/audit/records", tags=["audit"], responses=error_responses(429))

SEARCHES_PER_MINUTE = 300
"""Questions of a tenant; one by arguments opens thousands of rows."""


def record_of(request: Request) -> AuditStore:
    """Return the record."""
    record: AuditStore = request.app.state.record
    return record


RecordDep = Annotated[AuditStore, Depends(record_of)]


@router.get("", summary="Ask the audit record")
async def find_records(
    tenant: Tenant, query: Annotated[AuditQuestion, Query()], parts: PartsDep, record: RecordDep, caller: CallerDep
) -> AuditAnswer:
    """Model calls, tool calls, verdicts, decisions, transitions and all else that the tenant's runs did, newest first.

    Contents, and a question by arguments, need the role `contents`, too, and are recorded in the audit.
    """
    if query.system:
        caller.act_for(EVERY)
        tenant = SYSTEM
    message = f"tenant `{tenant}` may ask {SEARCHES_PER_MINUTE} times per minute"
    await limit(parts, f"audit-questions/{tenant}", tenant, SEARCHES_PER_MINUTE, message)
    if query.contents or query.arguments:
        caller.need_also(Role.CONTENTS, "a question about contents")
        await record_access(parts, caller, tenant, "audit", query.run or "", query.name or "")
    answer = await find(record, tenant, question_of(query), query.limit, _position(query.cursor))
    return answer_of(answer, shown=query.contents)


def _position(cursor: str | None) -> Position | None:
    try:
        return position_of(cursor)
    except ValueError:
        action = "take `next_cursor` of a page as it is"
        raise Refused(422, "invalid_request", "query.cursor: is not that of a page", action=action) from None
