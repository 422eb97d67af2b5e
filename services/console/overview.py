"""Contents of the overview: the page shows them, and live updates replace them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from schemas.api.checks import Check, RunCounts
from schemas.api.costs import CostReport
from schemas.api.runs import RunSummary
from schemas.event import ENDS, State
from services.console.gateway import Gateway, GatewayFailure
from services.console.questions import read_inbox

LISTED = 5
"""Entries of each list."""

WITHIN = 3.0
"""Seconds that the page waits for Kafka: it must open most of all when Kafka is down."""

T = TypeVar("T")


async def overview_of(gateway: Gateway) -> dict[str, Any]:
    """Return what the overview shows."""
    of_runs = asyncio.gather(
        _part(lambda: gateway.ask(RunCounts, "GET", "/v1/counts")),
        _latest(gateway, State.FAILED),
        _latest(gateway, State.PAUSED),
        _part(lambda: read_inbox(gateway, LISTED)),
    )
    cost = _part(lambda: gateway.ask(CostReport, "GET", "/v1/costs", {"days": "1"}))
    of_swarm = asyncio.gather(gateway.ready(), _part(gateway.stops), cost)
    (counts, failed, paused, inbox), (ready, stops, spent) = await asyncio.gather(of_runs, of_swarm)
    return {
        "ready": ready,
        "refused": counts.error if isinstance(counts, GatewayFailure) else None,
        "counts": {} if isinstance(counts, GatewayFailure) else _counts(counts),
        "indexing": not isinstance(counts, GatewayFailure) and counts.indexing,
        "failed": failed,
        "paused": paused,
        "inbox": None if isinstance(inbox, GatewayFailure) else inbox,
        "inbox_failure": inbox.error if isinstance(inbox, GatewayFailure) else None,
        "stops": None if isinstance(stops, GatewayFailure) else stops,
        "cost": None if isinstance(spent, GatewayFailure) else spent.total.cost_usd,
    }


async def _latest(gateway: Gateway, state: State) -> list[RunSummary]:
    found = await _part(lambda: gateway.runs(state, LISTED))
    return [] if isinstance(found, GatewayFailure) else found.runs[:LISTED]


async def _part(ask: Callable[[], Awaitable[T]]) -> T | GatewayFailure:
    """Return the answer, or the refusal of this part alone. Raises GatewayFailure if no part can be had."""
    try:
        return await ask()
    except GatewayFailure as failure:
        if failure.status != 403:
            raise
        return failure


def _counts(counts: RunCounts) -> dict[str, int]:
    states = {State(name): number for name, number in counts.states.items() if name in State.__members__}
    waiting, paused, failed = (states.get(each, 0) for each in (State.WAITING_HUMAN, State.PAUSED, State.FAILED))
    running = sum(number for state, number in states.items() if state not in ENDS) - waiting - paused
    return {
        "running": running,
        "waiting": waiting,
        "paused": paused,
        "failed": failed,
        "complete": states.get(State.COMPLETE, 0),
        "rejected": states.get(State.REJECTED, 0),
        "cancelled": states.get(State.CANCELLED, 0),
        "all": sum(states.values()),
    }


async def failing_checks(gateway: Gateway) -> list[Check] | None:
    """Return the checks of the swarm that fail; None if they cannot be had, or not soon."""
    checks = await in_time(gateway.ask_many(Check, "/v1/checks"))
    return None if checks is None else [check for check in checks if check.verdict == "fail"]


async def in_time(work: Awaitable[T]) -> T | None:
    """Return the answer; None for a visitor who may not see it, and if Kafka does not answer soon."""
    try:
        async with asyncio.timeout(WITHIN):
            return await work
    except TimeoutError:
        return None
    except GatewayFailure as failure:
        if failure.status not in {403, 503}:
            raise
        return None
