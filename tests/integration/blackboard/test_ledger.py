"""The ledger on a real Redis: what is reserved, what is spent, and that neither passes a limit."""

import asyncio
import random

import pytest

from schemas.budget import Budget, DayBudget, Usage
from shared.blackboard import Sentinel
from shared.blackboard.ledger import NANO, Amounts, Ledger, ReservationStatus
from shared.errors import BlackboardLost, Fenced

CALL = Amounts(tokens=100, output_tokens=50, nano_usd=1_000, model_calls=1)


def ledger_of(sentinel, run="run-1", tenant="default", day=None, **limits) -> Ledger:
    return Ledger(sentinel, tenant, run, Budget(**limits), day or DayBudget(), 60)


async def test_a_reservation_is_replaced_by_the_real_cost(sentinel):
    ledger = ledger_of(sentinel)
    assert (await ledger.reserve("a", "1", CALL)).status is ReservationStatus.GRANTED
    await ledger.settle("a", "1", Amounts(tokens=30, output_tokens=10, nano_usd=7, model_calls=1))
    assert await ledger.read_spent() == Amounts(30, 10, 7, 1, 0)
    left = await ledger.reserve("b", "1", Amounts(tokens=400_000 - 30))
    assert left.status is ReservationStatus.GRANTED


async def test_a_call_that_does_not_fit_is_refused_with_what_is_in_its_way_and_what_is_left(sentinel):
    ledger = ledger_of(sentinel, output_tokens=80)
    await ledger.reserve("a", "1", CALL)
    await ledger.settle("a", "1", CALL)
    refused = await ledger.reserve("b", "1", CALL)
    assert refused == (ReservationStatus.REFUSED, "run", "output_tokens", 30, None)


async def test_a_call_that_only_others_under_way_keep_out_is_to_wait(sentinel):
    ledger = ledger_of(sentinel, output_tokens=80)
    await ledger.reserve("a", "1", CALL)
    assert (await ledger.reserve("b", "1", CALL))[:4] == (ReservationStatus.WAIT, "run", "output_tokens", 30)
    await ledger.settle("a", "1", Amounts(tokens=10, output_tokens=5, model_calls=1))
    assert (await ledger.reserve("b", "1", CALL)).status is ReservationStatus.GRANTED


async def test_a_reservation_or_a_settlement_that_is_said_twice_counts_once(sentinel):
    ledger = ledger_of(sentinel)
    for _ in range(2):
        assert (await ledger.reserve("a", "1", CALL)).status is ReservationStatus.GRANTED
    for _ in range(2):
        await ledger.settle("a", "1", CALL)
    assert await ledger.read_spent() == CALL
    held = await sentinel.own.hget("waggle:default:run:run-1:ledger", "held:tokens")
    assert held == "0"


async def test_an_attempt_with_an_unknown_end_is_charged_as_reserved(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("a", "1", CALL)
    again = await ledger.reserve("a", "2", CALL)
    assert (again.status, again.lost.cost) == (ReservationStatus.GRANTED, CALL)
    await ledger.settle("a", "1", Amounts(tokens=1))  # by one who was thought dead: it is spent already
    await ledger.settle("a", "2", Amounts(tokens=7, model_calls=1))
    assert await ledger.read_spent() == Amounts(107, 50, 1_000, 2, 0)


async def test_an_interrupted_attempt_blocks_no_caller_and_is_reported_once_to_the_retry(sentinel):
    ledger = ledger_of(sentinel, output_tokens=200)
    await ledger.reserve("a", "1.1", CALL)
    await ledger.forfeit("a", "1.1")
    assert await ledger.read_spent() == CALL
    assert await sentinel.own.hget("waggle:default:run:run-1:ledger", "held:tokens") == "0"
    again = await ledger.reserve("a", "1.2", CALL)
    assert (again.status, again.lost.cost) == (ReservationStatus.GRANTED, CALL)
    await ledger.settle("a", "1.2", CALL)
    await ledger.forfeit("a", "1.2")
    assert (await ledger.reserve("a", "2.1", CALL)).lost == ("a", "1.2", CALL)
    assert (await ledger.reserve("a", "2.1", CALL)).lost is None
    assert await ledger.read_spent() == Amounts(200, 100, 2_000, 2, 0)


async def test_a_fenced_worker_reserves_nothing_and_leaves_the_owners_reservation_untouched(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("a", "1.1", CALL)
    await ledger.reserve("a", "2.1", CALL)
    with pytest.raises(Fenced):
        await ledger.reserve("a", "1.2", CALL)
    await ledger.settle("a", "2.1", Amounts(tokens=7, model_calls=1))
    with pytest.raises(Fenced):
        await ledger.reserve("a", "1.3", CALL)
    assert (await ledger.read_spent()).tokens == CALL.tokens + 7


async def test_a_call_that_is_settled_on_the_next_day_leaves_no_debt_behind(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("a", "1", CALL)
    await sentinel.own.hset("waggle:default:ledger", "day", "yesterday")
    await ledger.reserve("b", "1", Amounts(tokens=1))
    await ledger.settle("a", "1", CALL)
    await ledger.settle("b", "1", Amounts(tokens=1))
    assert await sentinel.own.hget("waggle:default:ledger", "held:tokens") == "0"


async def test_a_tenants_day_is_limited_across_all_its_runs_and_starts_fresh_the_next_day(sentinel):
    day = DayBudget(cost_usd=1_500 / NANO)
    one, other = ledger_of(sentinel, "run-1", day=day), ledger_of(sentinel, "run-2", day=day)
    await one.reserve("a", "1", CALL)
    assert (await other.reserve("b", "1", CALL))[:4] == (ReservationStatus.WAIT, "tenant", "nano_usd", 500)
    await one.settle("a", "1", CALL)
    assert (await other.reserve("b", "1", CALL))[:4] == (ReservationStatus.REFUSED, "tenant", "nano_usd", 500)
    elsewhere = ledger_of(sentinel, "run-3", tenant="shop", day=day)
    assert (await elsewhere.reserve("c", "1", CALL)).status is ReservationStatus.GRANTED
    await sentinel.own.hset("waggle:default:ledger", "day", "2001-01-01")
    assert (await other.reserve("b", "1", CALL)).status is ReservationStatus.GRANTED


async def test_nothing_is_reserved_or_settled_on_a_blackboard_that_was_lost(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("a", "1", CALL)
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await ledger.reserve("b", "1", CALL)
    with pytest.raises(BlackboardLost):
        await ledger.settle("a", "1", CALL)
    assert await sentinel.own.keys() == []


async def test_forty_at_once_with_crashes_and_repeats_never_pass_a_limit_and_leave_it_exact(sentinel, parts):
    """Two processes' worth of clients; each call costs less than it reserved, some die under way, some repeat."""
    drawn = random.Random(7)
    sentinels = [Sentinel(parts["WAGGLE_REDIS"]) for _ in range(2)]
    costs, lost, most = [], [], 0
    limits = {"tokens": 2_000, "output_tokens": 100_000, "model_calls": 10_000, "cost_usd": 100}

    async def step(number: int) -> None:
        nonlocal most
        ledger = ledger_of(sentinels[number % 2], **limits)
        for turn in range(5):
            attempt = 1
            while (
                said := await ledger.reserve(f"{number}/{turn}", str(attempt), CALL)
            ).status is ReservationStatus.WAIT:
                await asyncio.sleep(0.002)
            if said.status is ReservationStatus.REFUSED:
                return
            if drawn.random() < 0.2:  # the process dies; the next one tries the same call again
                lost.append(CALL.tokens)
                attempt = 2
                while (said := await ledger.reserve(f"{number}/{turn}", "2", CALL)).status is ReservationStatus.WAIT:
                    await asyncio.sleep(0.002)
                if said.status is ReservationStatus.REFUSED:
                    return
            cost = drawn.randint(1, CALL.tokens)
            costs.append(cost)
            for _ in range(drawn.randint(1, 2)):
                await ledger.settle(f"{number}/{turn}", str(attempt), Amounts(tokens=cost, model_calls=1))
            most = max(most, (await ledger.read_spent()).tokens)

    for each in sentinels:
        await each.refresh()
    await asyncio.gather(*map(step, range(40)))
    spent = (await ledger_of(sentinel, **limits).read_spent()).tokens
    assert spent == sum(costs) + sum(lost)
    assert most <= spent <= limits["tokens"]
    assert limits["tokens"] - spent < CALL.tokens
    for each in sentinels:
        await each.close()


def test_money_is_rounded_up_and_never_by_what_floating_point_adds():
    assert Amounts.of(Usage(cost_usd=0.1)).nano_usd == 100_000_000
    assert Amounts.of(Usage(cost_usd=1.5e-9)).nano_usd == 2
    assert Amounts.of(Usage(cost_usd=0.1 + 0.2)).nano_usd == 300_000_000
    assert Amounts(nano_usd=5).usage.cost_usd == 5e-9


async def test_a_dead_workers_reservation_is_released_when_its_lease_expires_and_counts_once(sentinel):
    day = DayBudget(tokens=150)
    dead = Ledger(sentinel, "default", "run-dead", Budget(), day, 60, lease=0)
    other = ledger_of(sentinel, "run-other", day=day)
    await dead.reserve("a", "1", CALL)
    small = Amounts(tokens=40, model_calls=1)
    assert (await other.reserve("big", "1", CALL)).status is ReservationStatus.WAIT
    assert (await other.reserve("b", "1", small)).status is ReservationStatus.GRANTED
    await asyncio.sleep(2.1)
    refused = [await other.reserve("big", "1", CALL) for _ in range(2)][-1]
    assert (refused.status, refused.whose) == (ReservationStatus.REFUSED, "tenant"), "it is spent, not held any more"
    found = await sentinel.own.hgetall("waggle:default:ledger")
    assert (found["spent:tokens"], found["held:tokens"]) == ("100", "40")
    await dead.settle("a", "1", Amounts(tokens=7, model_calls=1))
    found = await sentinel.own.hgetall("waggle:default:ledger")
    assert (found["spent:tokens"], found["held:tokens"]) == ("7", "40"), "settled late, it costs what it has cost"
    assert (await dead.read_spent()).tokens == 7


async def test_a_step_of_the_same_run_does_not_wait_for_a_dead_one_for_ever(sentinel):
    dead = Ledger(sentinel, "default", "run-1", Budget(output_tokens=120), DayBudget(), 60, lease=0)
    await dead.reserve("a", "1", CALL)
    assert (await dead.reserve("b", "1", Amounts(output_tokens=80))).status is ReservationStatus.WAIT
    await asyncio.sleep(2.1)
    assert (await dead.reserve("b", "1", Amounts(output_tokens=80))).status is ReservationStatus.REFUSED
    assert (await dead.reserve("b", "1", Amounts(output_tokens=70))).status is ReservationStatus.GRANTED
    assert (await dead.reserve("a", "2", Amounts())).lost.cost == CALL


async def test_a_call_that_outlasts_its_lease_costs_what_it_has_cost_once_it_is_settled(sentinel):
    slow = Ledger(sentinel, "default", "run-1", Budget(output_tokens=120), DayBudget(), 60, lease=0)
    await slow.reserve("work/a", "1.1", CALL)
    await asyncio.sleep(2.1)
    assert (await slow.reserve("b", "1.1", Amounts(output_tokens=80))).status is ReservationStatus.REFUSED
    assert await slow.read_spent() == CALL
    cost = Amounts(30, 10, 7, 1, 0)
    for _ in range(2):
        await slow.settle("work/a", "1.1", cost)
    assert await slow.read_spent() == cost
    assert (await sentinel.own.hget("waggle:default:ledger", "spent:tokens")) == "30"
    assert [each.cost for each in await slow.close("work", 1)] == [cost]


async def test_a_worker_that_lost_the_work_cannot_change_the_count_of_its_successor(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("work/a", "1.1", CALL)
    assert [each.cost for each in await ledger.close("work", 2)] == [CALL]
    await ledger.settle("work/a", "1.1", Amounts(tokens=30, model_calls=1))
    assert await ledger.read_spent() == CALL
    assert [each.cost for each in await ledger.close("work", 2)] == [CALL]


async def test_a_new_day_counts_only_what_was_reserved_in_it(sentinel):
    """Calls under way at midnight neither burden the new day nor, when they are settled, eat what others hold in it."""
    day = DayBudget(tokens=150)
    late, fresh = ledger_of(sentinel, "run-late", day=day), ledger_of(sentinel, "run-fresh", day=day)
    await late.reserve("a", "1", CALL)
    await sentinel.own.hset("waggle:default:ledger", "day", "yesterday")
    assert (await fresh.reserve("b", "1", CALL)).status is ReservationStatus.GRANTED
    await late.settle("a", "1", CALL)
    found = await sentinel.own.hgetall("waggle:default:ledger")
    assert (found["held:tokens"], found.get("spent:tokens", "0")) == ("100", "0")
    assert (await fresh.reserve("c", "1", CALL)).status is ReservationStatus.WAIT
    assert (await late.read_spent()) == CALL


async def test_work_that_is_given_up_frees_all_it_has_reserved_and_nothing_else(sentinel):
    ledger = ledger_of(sentinel)
    for call in ("work-1/a", "work-1/b", "work-10/a"):
        await ledger.reserve(call, "1", CALL)
    for _ in range(2):
        await ledger.close("work-1", 1)
    for key in ("waggle:default:run:run-1:ledger", "waggle:default:ledger"):
        found = await sentinel.own.hgetall(key)
        assert (found["held:tokens"], found["spent:tokens"]) == ("100", "200")


async def test_a_reservation_of_an_older_version_without_a_lease_is_settled_as_it_was(sentinel):
    ledger = ledger_of(sentinel)
    await ledger.reserve("a", "1", CALL)
    await sentinel.own.hdel("waggle:default:ledger", "hold:waggle:default:run:run-1:ledger a")
    old = '{"attempt":"1","amounts":[100,50,1000,1,0]}'
    await sentinel.own.hset("waggle:default:run:run-1:ledger", "call:a", f"held {old}")
    await ledger.settle("a", "1", Amounts(tokens=30, model_calls=1))
    found = await sentinel.own.hgetall("waggle:default:ledger")
    assert (found["held:tokens"], found["spent:tokens"]) == ("0", "30")
