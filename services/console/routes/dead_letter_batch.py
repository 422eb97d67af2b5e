"""Orders for all dead letters that match: a preview, a confirmation, and one line for each outcome as it happens."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.dead_letters import BatchProgress, BatchSelection
from schemas.error import ErrorInfo
from services.console.bulk import LETTERS, BulkOrder, carry_out, preview_page, time_of_preview
from services.console.dead_letters import AT_ONCE, Filters, find
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.routes.dead_letters import known
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_RATE = 50
"""Dead letters per second."""

_PREVIEWED = 100

_ALL = ("dead-letters", "all")

ORDERS: Mapping[str, BulkOrder[BatchSelection, BatchProgress]] = {
    each.name: each
    for each in (
        BulkOrder(
            LETTERS,
            "redrive",
            "Redrive",
            (*_ALL, "redrive"),
            "Each is published to its topic once more.",
            reason="optional",
            danger=False,
        ),
        BulkOrder(
            LETTERS,
            "discard",
            "Discard",
            (*_ALL, "discard"),
            "They are no longer listed as open. This cannot be undone.",
            reason="required",
            danger=True,
        ),
    )
}


@router.get("/dead-letters/all/{verb}")
async def preview(visitor: VisitorDep, verb: str) -> Response:
    """The dead letters that the order would be about, and the question whether it is meant."""
    return await _preview(visitor, ORDERS[known(verb)], Filters.given(visitor.request.query_params))


@router.post("/dead-letters/all/{verb}")
async def handle_all(visitor: VisitorDep, verb: str) -> Response:
    """Send the order to the gateway, and write each outcome into the page as it happens."""
    form, order = await visitor.form(), ORDERS[known(verb)]
    filters, reason = Filters.given(form), form.get("reason", "")
    problem = order.problem(form, narrow=filters.narrow(visitor.tenant))
    if problem is None:
        letters: dict[str, Any] = filters.search(visitor.tenant, time_of_preview(form)) | {"limit": AT_ONCE}
        body = {"letters": letters, "rate": _RATE, "reason": reason} | author_in(form)
        try:
            return await carry_out(visitor, order, filters.query, f"/v1/dead-letters/{verb}", body)
        except GatewayFailure as refused:
            problem = refused.error
    return await _preview(visitor, order, filters, problem, reason)


async def _preview(
    visitor: Visitor,
    order: BulkOrder[BatchSelection, BatchProgress],
    filters: Filters,
    failure: ErrorInfo | None = None,
    reason: str = "",
) -> Response:
    narrow, now = filters.narrow(visitor.tenant), datetime.now(UTC)
    found = await find(visitor.gateway, filters, "open", AT_ONCE) if narrow else None
    return preview_page(
        visitor,
        "dead_letter_batch.html",
        order,
        len(found.letters) if found else 0,
        failure or (None if narrow else order.unfiltered),
        filters=filters,
        found=found,
        until=now.isoformat(),
        reason=reason,
        previewed=_PREVIEWED,
    )
