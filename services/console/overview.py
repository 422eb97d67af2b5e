"""Contents of the overview: the page shows them, and live updates replace them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any, TypeVar

from schemas.api.runs import RunSummary
from schemas.event import State
from services.console.actions import ENDED
from services.console.gateway import Gateway, GatewayFailure
from services.console.questions import read_inbox

NEWEST = 200
"""Runs that the counts are about."""

_LISTED = 5

T = TypeVar("T")


async def overview_of(gateway: Gateway) -> dict[str, Any]:
    """Return what the overview shows."""
    ready, runs, inbox, stops = await asyncio.gather(
        gateway.ready(), _part(gateway.runs(None, NEWEST)), _part(read_inbox(gateway)), _part(gateway.stops())
    )
    newest = [] if isinstance(runs, GatewayFailure) else runs.runs
    return {
        "ready": ready,
        "runs": runs,
        "refused": isinstance(runs, GatewayFailure),
        "counts": _counts(newest),
        "newest": NEWEST if isinstance(runs, GatewayFailure) or runs.next_offset else None,
        "failed": [run for run in newest if run.state is State.FAILED][:_LISTED],
        "paused": [run for run in newest if run.state is State.PAUSED][:_LISTED],
        "inbox": None if isinstance(inbox, GatewayFailure) else inbox,
        "inbox_failure": inbox.error if isinstance(inbox, GatewayFailure) else None,
        "stops": None if isinstance(stops, GatewayFailure) else stops,
        "listed": _LISTED,
    }


async def _part(work: Awaitable[T]) -> T | GatewayFailure:
    """Return the answer, or the refusal of this part alone. Raises GatewayFailure if no part can be had."""
    try:
        return await work
    except GatewayFailure as failure:
        if failure.status != 403:
            raise
        return failure


def _counts(runs: list[RunSummary]) -> dict[str, int]:
    states = Counter(run.state for run in runs)
    waiting, paused, failed = states[State.WAITING_HUMAN], states[State.PAUSED], states[State.FAILED]
    running = sum(number for state, number in states.items() if state not in ENDED) - waiting - paused
    return {
        "running": running,
        "waiting": waiting,
        "paused": paused,
        "failed": failed,
        "complete": states[State.COMPLETE],
    }
