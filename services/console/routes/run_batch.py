"""Orders for all runs that match: a preview, a confirmation, and one line for each outcome as it happens."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.run_batch import RunBatchProgress, RunBatchSelection
from schemas.error import ErrorInfo
from services.console.actions import ACTIONS
from services.console.bulk import RUNS, BulkOrder, carry_out, preview_page, time_of_preview
from services.console.gateway import GatewayFailure
from services.console.routes.run import unknown_page
from services.console.run_filters import FLAGS, RunFilters
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_RATE = 200
"""Runs per second at most."""

ORDERS: Mapping[str, BulkOrder[RunBatchSelection, RunBatchProgress]] = {
    action.name: BulkOrder(
        RUNS,
        action.name,
        action.title,
        ("run-orders", action.name),
        action.effect,
        reason="required" if action.reasoned else "none",
        danger=action.danger,
    )
    for action in (ACTIONS[name] for name in ("pause", "resume", "stop", "cancel"))
}
"""Orders that many runs take at once."""


@router.get("/run-orders/{name}")
async def preview(visitor: VisitorDep, name: str) -> Response:
    """The runs that the order would be about, and the question whether it is meant."""
    order = ORDERS.get(name)
    if order is None:
        return unknown_page(visitor)
    return await _preview(visitor, order, RunFilters.given(visitor.request.query_params))


@router.post("/run-orders/{name}")
async def order_all(visitor: VisitorDep, name: str) -> Response:
    """Send the order to the gateway, and write each outcome into the page as it happens."""
    form, order = await visitor.form(), ORDERS.get(name)
    if order is None:
        return unknown_page(visitor)
    filters = RunFilters.given(form)
    problem = order.problem(form, narrow=bool(filters.query))
    if problem is None:
        body = _body(order, filters.wanted(time_of_preview(form))) | {"expected": int(form["expected"])}
        body |= {field: form[field] for field in ("reason", "by") if form.get(field)}
        try:
            return await carry_out(visitor, order, filters.query, _path(visitor), body)
        except GatewayFailure as refused:
            problem = refused.error
    return await _preview(visitor, order, filters, problem, form.get("reason", ""))


def _path(visitor: Visitor) -> str:
    return "/v1/runs/batch" + (f"?{urlencode({'tenant': visitor.tenant})}" if visitor.tenant else "")


def _body(order: BulkOrder[RunBatchSelection, RunBatchProgress], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"action": order.name, "filter": dict(wanted), "rate": _RATE}


async def _preview(
    visitor: Visitor,
    order: BulkOrder[RunBatchSelection, RunBatchProgress],
    filters: RunFilters,
    failure: ErrorInfo | None = None,
    reason: str = "",
) -> Response:
    now, found = datetime.now(UTC), None
    failure = failure or (None if filters.query else order.unfiltered)
    if filters.query:
        try:
            found = await _selection(visitor, _body(order, filters.wanted(now)) | {"dry_run": True})
        except GatewayFailure as refused:
            failure = failure or refused.error
    return preview_page(
        visitor,
        "run_batch.html",
        order,
        found.of if found else 0,
        failure,
        filters=filters,
        flags=FLAGS,
        found=found,
        until=now.isoformat(),
        reason=reason,
    )


async def _selection(visitor: Visitor, body: Mapping[str, Any]) -> RunBatchSelection:
    async with visitor.gateway.lines(_path(visitor), body) as lines:
        return RunBatchSelection.model_validate_json(await anext(lines))
