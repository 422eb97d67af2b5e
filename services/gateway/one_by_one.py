"""Work on many things, one by one at a rate, that outlives its request until the one in progress is done."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias, TypeVar

from schemas.error import ErrorInfo
from services.gateway.errors import UNANSWERED
from shared import blackboard

T = TypeVar("T")
Turns: TypeAlias = AsyncIterator[tuple[int, str]]
"""Each thing at its time, with its number from 1."""

OUTAGES = (*UNANSWERED, *blackboard.OUTAGES)
"""Failures of Kafka or Redis, after which no further thing is tried."""

_running = set[asyncio.Task[None]]()
"""Keeps a reference to each task: the event loop holds only weak ones."""


async def outcomes_of(
    names: Sequence[str], rate: float, work: Callable[[Turns], AsyncGenerator[T]]
) -> AsyncGenerator[T]:
    """Yield the outcomes of the work, which gets at most `rate` names per second.

    When the caller disconnects, the one in progress is completed, and the work gets no further name.
    """
    outcomes, disconnected = asyncio.Queue[T | None](), asyncio.Event()
    task = asyncio.create_task(_report(work(_turns(names, 1 / rate, disconnected)), outcomes))
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        while (outcome := await outcomes.get()) is not None:
            yield outcome
    finally:
        disconnected.set()


async def _report(work: AsyncGenerator[T], outcomes: asyncio.Queue[T | None]) -> None:
    """Run in a task of its own: the request's task is cancelled repeatedly, even during its cleanup."""
    try:
        async with aclosing(work):
            async for outcome in work:
                outcomes.put_nowait(outcome)
    finally:
        outcomes.put_nowait(None)


async def _turns(names: Sequence[str], pause: float, disconnected: asyncio.Event) -> Turns:
    clock = asyncio.get_running_loop().time
    started = clock()
    for n, name in enumerate(names, 1):
        await asyncio.sleep(started + (n - 1) * pause - clock())
        if disconnected.is_set():
            return
        yield n, name


def unknown_outcome(outage: BaseException, action: str) -> ErrorInfo:
    """Return the error of the one that was in progress when Kafka or Redis failed."""
    message = f"Kafka or Redis is unavailable: {outage!r}"
    return ErrorInfo(code="outcome_unknown", message=message, retryable=True, suggested_action=action)
