"""Dealing with many dead letters, each told of as it is done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeAlias

from schemas.dead import DeadLetterHandled
from schemas.error import ErrorInfo
from services.gateway.dead_letters import Progress, Selection, letter_lock, refused
from services.gateway.errors import UNANSWERED
from shared import blackboard
from shared.bus.dead import Found, Redriver, redriver
from shared.errors import Conflict, RetryableError, TerminalError
from shared.service import Parts

Act: TypeAlias = Callable[[Redriver, str], Awaitable[DeadLetterHandled]]
Told: TypeAlias = asyncio.Queue[Progress | None]

_working = set[asyncio.Task[None]]()
"""Held here, for the loop alone would let them be collected."""


async def deal(
    parts: Parts, found: Found, act: Act, *, rate: float, dry_run: bool
) -> AsyncIterator[Selection | Progress]:
    """Deal with what was found, the oldest first, so many a second; stops when something is away.

    When the caller goes away the one in hand is still finished: none is left put back and not recorded.
    """
    names = [line.name for line in reversed(found.letters)]
    yield Selection(of=len(names), complete=found.complete, not_looked_at=found.not_looked_at)
    if dry_run:
        for n, name in enumerate(names, 1):
            yield Progress(n=n, of=len(names), name=name, outcome="chosen")
        return
    if not names:
        return
    told, gone = Told(), asyncio.Event()
    task = asyncio.create_task(_work(parts, names, act, 1 / rate, told, gone))
    _working.add(task)
    task.add_done_callback(_working.discard)
    try:
        while (progress := await told.get()) is not None:
            yield progress
    finally:
        gone.set()


async def _work(parts: Parts, names: list[str], act: Act, pause: float, told: Told, gone: asyncio.Event) -> None:
    """A task of its own, for the caller's is cancelled again and again, also while it cleans up."""
    n, clock = 1, asyncio.get_running_loop().time
    began = clock()
    try:
        async with redriver(parts.settings, letter_lock(parts.redis)) as desk:
            for n, name in enumerate(names, 1):
                await asyncio.sleep(began + (n - 1) * pause - clock())
                if gone.is_set():
                    return
                told.put_nowait(await _one(desk, act, n, name, len(names)))
    except (*UNANSWERED, *blackboard.OUTAGES) as away:
        error = ErrorInfo(code="outcome_unknown", message=f"Kafka or Redis is away: {away!r}", retryable=True)
        told.put_nowait(Progress(n=n, of=len(names), name=names[n - 1], outcome="failed", error=error))
    finally:
        told.put_nowait(None)


async def _one(desk: Redriver, act: Act, n: int, name: str, of: int) -> Progress:
    try:
        handled = await act(desk, name)
    except (Conflict, RetryableError, TerminalError) as why:
        outcome: Literal["skipped", "failed"] = "failed" if isinstance(why, TerminalError) else "skipped"
        return Progress(n=n, of=of, name=name, outcome=outcome, error=refused(why).error)
    return Progress(n=n, of=of, name=name, outcome=handled.action)
