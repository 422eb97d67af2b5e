"""Orders for all runs that match: a preview, a confirmation, and one line for each outcome as it happens."""

import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse

from schemas.api.run_batch import TYPED_ABOVE, RunBatchProgress, RunBatchSelection
from schemas.error import ErrorInfo
from services.console.actions import ACTIONS, Action
from services.console.gateway import GatewayFailure
from services.console.pages import halves, page, part
from services.console.routes.run import unknown_page
from services.console.run_filters import FLAGS, RunFilters
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

ORDERS = ("pause", "resume", "stop", "cancel")
"""Orders that many runs take at once."""

_RATE = 200
"""Runs per second at most."""

_UNFILTERED = ErrorInfo(
    code="empty_filter",
    message="Without a filter this would be about every run there is.",
    suggested_action="Choose a state, an agent or another filter in the list first.",
)


@router.get("/run-orders/{name}")
async def preview(visitor: VisitorDep, name: str) -> Response:
    """The runs that the order would be about, and the question whether it is meant."""
    if name not in ORDERS:
        return unknown_page(visitor)
    return await _preview(visitor, ACTIONS[name], RunFilters.given(visitor.request.query_params))


@router.post("/run-orders/{name}")
async def order_all(visitor: VisitorDep, name: str) -> Response:
    """Send the order to the gateway, and write each outcome into the page as it happens."""
    form = await visitor.form()
    if name not in ORDERS:
        return unknown_page(visitor)
    action, filters = ACTIONS[name], RunFilters.given(form)
    if (problem := _problem(action, form, filters)) is not None:
        return await _preview(visitor, action, filters, problem, form.get("reason", ""))
    body = _body(action, filters.wanted(_moment(form.get("until", "")))) | {"expected": int(form["expected"])}
    body |= {field: form[field] for field in ("reason", "by") if form.get(field)}
    stack = AsyncExitStack()
    try:
        lines = await stack.enter_async_context(visitor.gateway.lines(_address(visitor), body))
        chosen = RunBatchSelection.model_validate_json(await anext(lines))
    except (GatewayFailure, ValidationError, StopAsyncIteration) as refused:
        await stack.aclose()
        if isinstance(refused, GatewayFailure) and refused.status != 401:
            return await _preview(visitor, action, filters, refused.error, form.get("reason", ""))
        raise
    return _outcomes(visitor, action, filters, chosen, lines, stack)


def _address(visitor: Visitor) -> str:
    return "/v1/runs/batch" + (f"?{urlencode({'tenant': visitor.tenant})}" if visitor.tenant else "")


def _body(action: Action, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"action": action.name, "filter": dict(wanted), "rate": _RATE}


def _problem(action: Action, form: Mapping[str, str], filters: RunFilters) -> ErrorInfo | None:
    """Return the reason why the order is not sent; None if it is complete."""
    if not filters.query:
        return _UNFILTERED
    if action.reasoned and not form.get("reason"):
        return _missing("This needs a reason: it is recorded with each run.", "Write the reason and send it again.")
    expected = form.get("expected", "")
    if not expected.isdecimal():
        return _missing("The preview's number is missing.", "Look at the preview once more.")
    if int(expected) > TYPED_ABOVE and not hmac.compare_digest(form.get("typed", "").encode(), expected.encode()):
        message = f"{expected} runs are selected, and the number typed is another one."
        return _missing(message, f"Type {expected} to confirm, or narrow the filters.")
    return None


def _missing(message: str, action: str) -> ErrorInfo:
    return ErrorInfo(code="missing_field", message=message, suggested_action=action)


async def _preview(
    visitor: Visitor, action: Action, filters: RunFilters, failure: ErrorInfo | None = None, reason: str = ""
) -> Response:
    now, found = datetime.now(UTC), None
    failure = failure or (None if filters.query else _UNFILTERED)
    if filters.query:
        try:
            found = await _selection(visitor, action, filters.wanted(now))
        except GatewayFailure as refused:
            if refused.status == 401:
                raise
            failure = failure or refused.error
    return page(
        visitor,
        "run_batch.html",
        422 if failure else 200,
        action=action,
        filters=filters,
        flags=FLAGS,
        found=found,
        until=now.isoformat(),
        reason=reason,
        failure=failure,
        typed=found is not None and found.of > TYPED_ABOVE,
    )


async def _selection(visitor: Visitor, action: Action, wanted: Mapping[str, Any]) -> RunBatchSelection:
    body = _body(action, wanted) | {"dry_run": True}
    async with visitor.gateway.lines(_address(visitor), body) as lines:
        return RunBatchSelection.model_validate_json(await anext(lines))


def _moment(text: str) -> datetime:
    """Return the time of the preview: runs that started later are not part of the order."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = datetime.now(UTC)
    return given if given.tzinfo else datetime.now(UTC)


def _outcomes(
    visitor: Visitor,
    action: Action,
    filters: RunFilters,
    chosen: RunBatchSelection,
    lines: AsyncIterator[bytes],
    stack: AsyncExitStack,
) -> Response:
    head, tail = halves(visitor, "run_outcomes.html", action=action, filters=filters, chosen=chosen)

    async def written() -> AsyncIterator[bytes]:
        done = 0
        async with stack:
            yield head
            try:
                async for line in lines:
                    progress = RunBatchProgress.model_validate_json(line)
                    done += 1
                    yield part(visitor, "run_outcome.html", progress=progress, error=None)
            except (GatewayFailure, ValidationError) as broken:
                error = broken.error if isinstance(broken, GatewayFailure) else None
                yield part(visitor, "run_outcome.html", progress=None, error=error, done=done)
            yield tail

    return visitor.keep(StreamingResponse(written(), media_type="text/html"))
