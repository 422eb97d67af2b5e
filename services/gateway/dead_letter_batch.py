"""Redrives or discards many dead letters and reports each outcome as it happens."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Literal, TypeAlias

from schemas.api.dead_letters import BatchProgress, BatchSelection, SearchResult
from schemas.dead import DeadLetterHandled
from services.gateway.dead_letters import letter_lock, refused
from services.gateway.one_by_one import OUTAGES, Turns, outcomes_of, unknown_outcome
from shared.bus.dead import Redriver, redriver
from shared.errors import Conflict, RetryableError, TerminalError
from shared.service import Parts

Act: TypeAlias = Callable[[Redriver, str], Awaitable[DeadLetterHandled]]


async def handle_batch(
    parts: Parts, found: SearchResult, act: Act, *, rate: float, dry_run: bool
) -> AsyncIterator[BatchSelection | BatchProgress]:
    """Handle the letters, oldest first, at most `rate` per second. Stops if Kafka or Redis is unavailable.

    When the caller disconnects, the letter in progress is completed: none is redriven without a record of it.
    """
    names = [line.name for line in reversed(found.letters)]
    yield BatchSelection(of=len(names), complete=found.complete, not_looked_at=found.not_looked_at)
    if dry_run:
        for n, name in enumerate(names, 1):
            yield BatchProgress(n=n, of=len(names), name=name, outcome="chosen")
        return
    if not names:
        return
    async with aclosing(outcomes_of(names, rate, partial(_work, parts, names, act))) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def _work(parts: Parts, names: list[str], act: Act, turns: Turns) -> AsyncGenerator[BatchProgress]:
    n, of = 1, len(names)
    try:
        async with redriver(parts.settings, letter_lock(parts.redis)) as desk:
            async for n, name in turns:
                yield await _handle(desk, act, n, name, of)
    except OUTAGES as outage:
        error = unknown_outcome(outage, "repeat the request: letters that were handled are not handled twice")
        yield BatchProgress(n=n, of=of, name=names[n - 1], outcome="failed", error=error)


async def _handle(desk: Redriver, act: Act, n: int, name: str, of: int) -> BatchProgress:
    try:
        handled = await act(desk, name)
    except (Conflict, RetryableError, TerminalError) as why:
        outcome: Literal["skipped", "failed"] = "failed" if isinstance(why, TerminalError) else "skipped"
        return BatchProgress(n=n, of=of, name=name, outcome=outcome, error=refused(why).error)
    return BatchProgress(n=n, of=of, name=name, outcome=handled.action)
