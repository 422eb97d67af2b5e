"""Orders to all that match: the words of their pages, what confirms them, and the outcomes written as they happen."""

import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import ValidationError
from starlette.responses import Response

from schemas.api.dead_letters import BatchProgress, BatchSelection
from schemas.api.run_batch import TYPED_ABOVE, RunBatchProgress, RunBatchSelection
from schemas.error import ErrorInfo
from services.console.gateway import GatewayFailure
from services.console.pages import halves, page, part
from services.console.streamed import Streamed
from services.console.visitor import Visitor

S = TypeVar("S", RunBatchSelection, BatchSelection)
P = TypeVar("P", RunBatchProgress, BatchProgress)


@dataclass(frozen=True, slots=True)
class Kind(Generic[S, P]):
    """Things that take orders in bulk, and the lines in which the gateway answers."""

    one: str
    listing: str
    """Page that lists them."""

    selection: type[S]
    progress: type[P]
    name_in: Callable[[P], str]
    page_of: Callable[[str], Sequence[str]]
    """Parts of the path of the page of one."""


RUNS = Kind(
    "run", "runs", RunBatchSelection, RunBatchProgress, lambda line: line.run_id, lambda run_id: ("runs", run_id)
)
LETTERS = Kind(
    "dead letter",
    "dead-letters",
    BatchSelection,
    BatchProgress,
    lambda line: line.name,
    lambda name: ("dead-letters", *name.split("/")),
)


@dataclass(frozen=True, slots=True)
class BulkOrder(Generic[S, P]):
    """An order to all that match."""

    kind: Kind[S, P]
    name: str
    title: str
    address: tuple[str, ...]
    """Parts of the path of its page."""

    effect: str
    reason: Literal["required", "optional", "none"]
    danger: bool

    def problem(self, form: Mapping[str, str], *, narrow: bool) -> ErrorInfo | None:
        """Return the reason why the order is not sent; None if it is complete. `narrow`: it has a filter."""
        expected = form.get("expected", "")
        if not narrow:
            return self.unfiltered
        if self.reason == "required" and not form.get("reason"):
            return _missing("This needs a reason: it is recorded.", "Write the reason and send the form again.")
        if not expected.isdecimal():
            return _missing("The preview's number is missing.", "Look at the preview once more.")
        if int(expected) > TYPED_ABOVE and not hmac.compare_digest(form.get("typed", "").encode(), expected.encode()):
            message = f"{expected} {self.kind.one}s are selected, and the number typed is another one."
            return _missing(message, f"Type {expected} to confirm, or narrow the filters.")
        return None

    @property
    def unfiltered(self) -> ErrorInfo:
        """Reason why an order without a filter is not sent."""
        message = f"Without a filter this would be about every {self.kind.one} there is."
        return ErrorInfo(code="empty_filter", message=message, suggested_action="Choose a filter in the list first.")


def _missing(message: str, action: str) -> ErrorInfo:
    return ErrorInfo(code="missing_field", message=message, suggested_action=action)


def preview_page(
    visitor: Visitor, template: str, order: BulkOrder[S, P], number: int, failure: ErrorInfo | None, **values: Any
) -> Response:
    """Return the page that asks if the order is meant. `number`: how many it would be about."""
    typed = number > TYPED_ABOVE
    return page(
        visitor, template, 422 if failure else 200, order=order, number=number, failure=failure, typed=typed, **values
    )


def time_of_preview(form: Mapping[str, str]) -> datetime:
    """Return the time of the preview: what came later is not part of the order."""
    try:
        given = datetime.fromisoformat(form.get("until", ""))
    except ValueError:
        given = datetime.now(UTC)
    return given if given.tzinfo else datetime.now(UTC)


async def carry_out(
    visitor: Visitor, order: BulkOrder[S, P], query: Mapping[str, str], path: str, body: Mapping[str, Any]
) -> Response:
    """Send the order to the gateway, and write each outcome into the page as it happens.

    `query`: the filters, for the way back to the list. Raises GatewayFailure if the order is refused.
    """
    async with AsyncExitStack() as opened:
        lines = await opened.enter_async_context(visitor.gateway.lines(path, body))
        chosen = order.kind.selection.model_validate_json(await anext(lines))
        head, tail = halves(visitor, "bulk_outcomes.html", order=order, query=query, chosen=chosen)
        stack = opened.pop_all()

    async def written() -> AsyncGenerator[bytes]:
        yield head
        async for line in _outcomes(visitor, order.kind, lines):
            yield line
        yield tail

    return visitor.keep(Streamed(written(), stack, {"Content-Type": "text/html; charset=utf-8"}))


async def _outcomes(visitor: Visitor, kind: Kind[S, P], lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a line for each outcome, and a last one if the gateway is lost."""
    done = 0
    try:
        async for line in lines:
            progress = kind.progress.model_validate_json(line)
            done += 1
            name = kind.name_in(progress)
            yield part(visitor, "bulk_outcome.html", progress=progress, name=name, address=kind.page_of(name))
    except (GatewayFailure, ValidationError) as broken:
        error = broken.error if isinstance(broken, GatewayFailure) else None
        yield part(visitor, "bulk_lost.html", error=error, done=done)
