"""A call that waits for what others of its run have reserved: it costs Redis little, and soon has its turn."""

import asyncio
from types import SimpleNamespace

import pytest

from schemas.budget import Budget, DayBudget, Usage
from shared.agent.spending import reservation
from shared.agent.spending.reservation import BudgetReservation
from shared.agent.spending.usage import UsageCounter
from shared.blackboard.ledger import Amounts, Ledger, ReservationStatus
from shared.llm.prices import Price
from shared.llm.spending import Demand

LIMITS = Budget(output_tokens=400)
ALL = Amounts(output_tokens=400)
FREE = Price(prompt=0, completion=0)
HELD = 20.0
"""Seconds for which another call holds all that is left."""


@pytest.fixture
async def ledger(sentinel):
    """Of a run whose other call has reserved everything."""
    found = Ledger(sentinel, "default", "run-1", LIMITS, DayBudget(), 60)
    assert (await found.reserve("other", "1", ALL)).status is ReservationStatus.GRANTED
    return found


def account_of(ledger: Ledger, name: str) -> BudgetReservation:
    handoff = SimpleNamespace(idempotency_key=name, tries=1)
    return BudgetReservation(handoff, UsageCounter(LIMITS), ledger, SimpleNamespace(epoch=1))


async def waited(ledger: Ledger, name: str) -> list[float]:
    """Wait for a turn, on a clock of the call's own, and return its pauses; the other call ends when HELD is over."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pauses) >= HELD:
            await ledger.settle("other", "1", Amounts())
        await asyncio.sleep(0)

    demand = Demand("m", 10, 300, FREE, pause)
    async with account_of(ledger, name).spending("think-1/turn-1")(demand) as permit:
        permit.settle(Usage())
    return pauses


async def scripts_run(sentinel) -> int:
    stats = await sentinel.own.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if name.startswith("cmdstat_evalsha"))


async def test_a_call_that_waits_looks_seldom_and_notices_within_a_second(ledger, sentinel):
    before = await scripts_run(sentinel)
    pauses = await waited(ledger, "a")
    assert pauses[0] <= reservation.FIRST_PAUSE
    assert max(pauses) <= reservation.LONGEST_PAUSE <= 1.0
    assert sum(pauses) <= HELD + reservation.LONGEST_PAUSE
    assert await scripts_run(sentinel) - before <= 2 * HELD + 10


def test_calls_that_wait_together_do_not_look_together():
    assert len({reservation._pause(20) for _ in range(20)}) == 20


async def test_forty_calls_of_a_run_have_their_turn_one_after_the_other(ledger):
    await ledger.settle("other", "1", Amounts())

    async def call(number: int) -> int:
        looks = 0

        async def pause(seconds: float) -> None:
            nonlocal looks
            looks += 1
            await asyncio.sleep(seconds / 20)

        demand = Demand("m", 10, 300, FREE, pause)
        async with account_of(ledger, f"c{number}").spending("think-1/turn-1")(demand) as permit:
            await asyncio.sleep(0.005)
            permit.settle(Usage())
        return looks

    async with asyncio.timeout(60):
        looks = await asyncio.gather(*map(call, range(40)))
    assert max(looks) > 0
