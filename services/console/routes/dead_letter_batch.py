"""Orders for all dead letters that match: a preview, a confirmation, and one line for each outcome as it happens."""

import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse

from schemas.api.dead_letters import BatchProgress, BatchSelection
from schemas.error import ErrorInfo
from services.console.dead_letters import AT_ONCE, Filters, find
from services.console.gateway import GatewayFailure
from services.console.pages import halves, page, part
from services.console.routes.dead_letters import known
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

UNTYPED = 50
"""Largest number that is handled without typing it."""

_RATE = 50
"""Dead letters per second."""

_PREVIEWED = 100

_UNFILTERED = ErrorInfo(
    code="empty_filter",
    message="Without a filter this would be about every dead letter there is.",
    suggested_action="Choose a topic, an error, an age or a tenant in the list first.",
)


@router.get("/dead-letters/all/{verb}")
async def preview(visitor: VisitorDep, verb: str) -> Response:
    """The dead letters that the order would be about, and the question whether it is meant."""
    return await _preview(visitor, known(verb), Filters.given(visitor.request.query_params))


@router.post("/dead-letters/all/{verb}")
async def handle_all(visitor: VisitorDep, verb: str) -> Response:
    """Send the order to the gateway, and write each outcome into the page as it happens."""
    form, verb = await visitor.form(), known(verb)
    filters, until = Filters.given(form), _moment(form.get("until", ""))
    if (problem := _problem(visitor, verb, form, filters)) is not None:
        return await _preview(visitor, verb, filters, problem, form.get("reason", ""))
    letters: dict[str, Any] = filters.search(visitor.tenant, until) | {"limit": AT_ONCE}
    body = {"letters": letters, "rate": _RATE, "reason": form.get("reason", "")}
    body |= {"by": form["by"]} if form.get("by") else {}
    stack = AsyncExitStack()
    try:
        lines = await stack.enter_async_context(visitor.gateway.lines(f"/v1/dead-letters/{verb}", body))
        chosen = BatchSelection.model_validate_json(await anext(lines))
    except (GatewayFailure, ValidationError, StopAsyncIteration) as refused:
        await stack.aclose()
        if isinstance(refused, GatewayFailure) and refused.status != 401:
            return await _preview(visitor, verb, filters, refused.error, form.get("reason", ""))
        raise
    return _outcomes(visitor, verb, filters, chosen, lines, stack)


def _problem(visitor: Visitor, verb: str, form: Mapping[str, str], filters: Filters) -> ErrorInfo | None:
    """Return the reason why the order is not sent; None if it is complete."""
    if not filters.narrow(visitor.tenant):
        return _UNFILTERED
    if verb == "discard" and not form.get("reason"):
        return _missing("This needs a reason: it is recorded.", "Write the reason and send the form again.")
    expected = form.get("expected", "")
    if (not expected.isdecimal() or int(expected) > UNTYPED) and not hmac.compare_digest(
        form.get("typed", "").encode(), expected.encode()
    ):
        message = f"{expected} dead letters are selected, and the number typed is another one."
        return _missing(message, f"Type {expected} to confirm, or narrow the filters.")
    return None


def _missing(message: str, action: str) -> ErrorInfo:
    return ErrorInfo(code="missing_field", message=message, suggested_action=action)


async def _preview(
    visitor: Visitor, verb: str, filters: Filters, failure: ErrorInfo | None = None, reason: str = ""
) -> Response:
    narrow, now = filters.narrow(visitor.tenant), datetime.now(UTC)
    found = await find(visitor.gateway, filters, "open", AT_ONCE) if narrow else None
    failure = failure or (None if narrow else _UNFILTERED)
    return page(
        visitor,
        "dead_letter_batch.html",
        422 if failure else 200,
        verb=verb,
        filters=filters,
        found=found,
        until=now.isoformat(),
        reason=reason,
        failure=failure,
        typed=found is not None and len(found.letters) > UNTYPED,
        previewed=_PREVIEWED,
    )


def _moment(text: str) -> datetime:
    """Return the time of the preview: dead letters that came later are not part of the order."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = datetime.now(UTC)
    return given if given.tzinfo else datetime.now(UTC)


def _outcomes(
    visitor: Visitor,
    verb: str,
    filters: Filters,
    chosen: BatchSelection,
    lines: AsyncIterator[bytes],
    stack: AsyncExitStack,
) -> Response:
    head, tail = halves(visitor, "dead_letter_outcomes.html", verb=verb, filters=filters, chosen=chosen)

    async def written() -> AsyncIterator[bytes]:
        done = 0
        async with stack:
            yield head
            try:
                async for line in lines:
                    progress = BatchProgress.model_validate_json(line)
                    done += 1
                    yield part(visitor, "dead_letter_outcome.html", progress=progress, error=None)
            except (GatewayFailure, ValidationError) as broken:
                error = broken.error if isinstance(broken, GatewayFailure) else None
                yield part(visitor, "dead_letter_outcome.html", progress=None, error=error, done=done)
            yield tail

    return visitor.keep(StreamingResponse(written(), media_type="text/html"))
