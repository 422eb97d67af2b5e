"""Cost of a verdict of the gate, without Redis and with it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

from schemas.budget import Budget, DayBudget
from schemas.plan import Effect, Risk
from shared.authorization import (
    SEND,
    Action,
    ActionKind,
    Page,
    PolicyContext,
    Trusted,
    authorize,
    parse_gate,
    sentences,
)
from shared.blackboard import Sentinel
from shared.blackboard.ledger import Amounts, Ledger
from tests.bench.stage import Stage
from tests.bench.table import Row, against

ROUNDS = 5_000
PAGE = "A page of some words, with https://example.org/link?n=1 in it, that somebody has written. " * 700
"""About 60,000 characters: the most a tool's result may have."""


@dataclass(frozen=True)
class Some:
    """A tool."""

    name: str
    risk: Risk
    effect: Effect
    destinations: tuple[str, ...] | None
    local: bool = False
    asked_by: frozenset[str] = SEND
    magnitudes: dict[str, str] = field(default_factory=dict)


MAIL = Some("send_email", Risk.HIGH, Effect.IRREVERSIBLE, ("to",))
FETCH = Some("fetch_page", Risk.LOW, Effect.READ, ("url",))
CRM = Some("crm__update", Risk.HIGH, Effect.IRREVERSIBLE, None)


def _call(tool: Some, **arguments: object) -> Action:
    return Action(ActionKind.TOOL_CALL, "c", tool.name, tool, arguments)


CALLS = {
    "a model call": Action(ActionKind.MODEL_CALL, "t", "strong"),
    "a mail to whom the task names": _call(MAIL, to=["ada@example.org"]),
    "a mail to somebody else": _call(MAIL, to=["eve@example.com"]),
    "a link in one of ten pages": _call(FETCH, url="https://example.org/link?n=1"),
    "an address in none of them": _call(FETCH, url="https://evil.example/?q"),
    "a tool that declares nothing": _call(CRM, **{f"field{n}": f"value {n}" for n in range(20)}),
}


def situation() -> PolicyContext:
    """A step that has read ten large pages."""
    words = sentences(["Sum up what is known of the outage and mail it to ada@example.org. " * 40])
    pages = [Page("example.org", PAGE)] * 10
    origins = [f"page:https://example.org/{n}" for n in range(10)]
    return PolicyContext(parse_gate().of("default"), Trusted(words), datetime.now(UTC), origins=origins, pages=pages)


async def verdicts(stage: Stage) -> list[Row]:
    """Each kind of action, and what counting a call adds: microseconds, median."""
    at = situation()
    rows = []
    for name, action in CALLS.items():
        value, worst = _microseconds(lambda action=action: authorize(action, at))
        note = {"target": "≤ 100", "reached": value <= 100, "note": f"p99 {worst:.0f}"}
        rows.append(Row(f"verdict on {name}, no Redis", value, "µs", **note))
    return [*rows, await _counted(stage)]


async def _counted(stage: Stage) -> Row:
    """Count a tool call in the ledgers of its run and its tenant, compared with one `PING`."""
    await stage.fresh()
    sentinel = Sentinel(stage.redis)
    await sentinel.renew(1)
    ledger = Ledger(sentinel, "default", uuid4().hex, Budget(tool_calls=10**6), DayBudget(), 60)
    ping = await _each(lambda _: sentinel.own.ping())
    take = await _each(lambda number: ledger.take(f"w/call-{number}", "1", Amounts(tool_calls=1)))
    await sentinel.close()
    return against("counting a tool call / `PING`", take, "µs", ping, note="one round trip")


async def _each(act: Callable[[int], Awaitable[object]]) -> float:
    took = []
    for number in range(ROUNDS // 5):
        began = time.perf_counter_ns()
        await act(number)
        took.append((time.perf_counter_ns() - began) / 1_000)
    return median(took)


def _microseconds(act: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        act()
        took.append((time.perf_counter_ns() - began) / 1_000)
    took.sort()
    return median(took), took[int(0.99 * len(took))]
