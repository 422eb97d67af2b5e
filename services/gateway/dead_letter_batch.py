"""Redrives or discards many dead letters and reports each outcome as it happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeAlias

from schemas.api.dead_letters import BatchProgress, BatchSelection, SearchResult
from schemas.dead import DeadLetterHandled
from schemas.error import ErrorInfo
from services.gateway.dead_letters import letter_lock, refused
from services.gateway.errors import UNANSWERED
from shared import blackboard
from shared.bus.dead import Redriver, redriver
from shared.errors import Conflict, RetryableError, TerminalError
from shared.service import Parts

Act: TypeAlias = Callable[[Redriver, str], Awaitable[DeadLetterHandled]]
Outcomes: TypeAlias = asyncio.Queue[BatchProgress | None]

_running = set[asyncio.Task[None]]()
"""Keeps a reference to each task: the event loop holds only weak ones."""


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
    outcomes, disconnected = Outcomes(), asyncio.Event()
    task = asyncio.create_task(_work(parts, names, act, 1 / rate, outcomes, disconnected))
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        while (progress := await outcomes.get()) is not None:
            yield progress
    finally:
        disconnected.set()


async def _work(
    parts: Parts, names: list[str], act: Act, pause: float, outcomes: Outcomes, disconnected: asyncio.Event
) -> None:
    """Run in a task of its own: the request's task is cancelled repeatedly, even during its cleanup."""
    n, clock = 1, asyncio.get_running_loop().time
    started = clock()
    try:
        async with redriver(parts.settings, letter_lock(parts.redis)) as desk:
            for n, name in enumerate(names, 1):
                await asyncio.sleep(started + (n - 1) * pause - clock())
                if disconnected.is_set():
                    return
                outcomes.put_nowait(await _handle(desk, act, n, name, len(names)))
    except (*UNANSWERED, *blackboard.OUTAGES) as outage:
        message = f"Kafka or Redis is unavailable: {outage!r}"
        action = "repeat the request: letters that were handled are not handled twice"
        error = ErrorInfo(code="outcome_unknown", message=message, retryable=True, suggested_action=action)
        outcomes.put_nowait(BatchProgress(n=n, of=len(names), name=names[n - 1], outcome="failed", error=error))
    finally:
        outcomes.put_nowait(None)


async def _handle(desk: Redriver, act: Act, n: int, name: str, of: int) -> BatchProgress:
    try:
        handled = await act(desk, name)
    except (Conflict, RetryableError, TerminalError) as why:
        outcome: Literal["skipped", "failed"] = "failed" if isinstance(why, TerminalError) else "skipped"
        return BatchProgress(n=n, of=of, name=name, outcome=outcome, error=refused(why).error)
    return BatchProgress(n=n, of=of, name=name, outcome=handled.action)
