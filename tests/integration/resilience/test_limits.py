"""Token buckets and circuit breakers that several clients share over a real Redis."""

import asyncio
import time
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blackboard import OUTAGES, Sentinel
from shared.resilience import LIMITED, Admission, Breaker, Buckets, Outcome, Rate
from shared.resilience import breaker as rules


@pytest.fixture
async def clients(sentinel, parts):
    """Three replicas, each with a connection of its own."""
    made = [Sentinel(parts["WAGGLE_REDIS"]) for _ in range(3)]
    for each in made:
        await each.refresh()
    yield [each.scripts for each in made]
    for each in made:
        await each.close()


async def test_tokens_in_a_bucket_are_used_at_once_and_the_rest_wait_across_all_replicas(clients):
    replicas = [Buckets(each, {"b": Rate(4, 20)}) for each in clients]
    waits = [await replicas[n % 3].take([1], 10) for n in range(10)]
    assert all(taken for taken, _ in waits)
    assert [wait for _, wait in waits[:4]] == [0] * 4
    owed = [wait for _, wait in waits[4:]]
    assert owed == sorted(owed)
    assert owed[-1] == pytest.approx(6 / 20, abs=0.1)


async def test_no_more_goes_than_the_rate_allows_however_many_ask_at_once(clients):
    rate = Rate(5, 50)
    went: list[float] = []

    async def caller(replica: Buckets) -> None:
        taken, wait = await replica.take([1], 10)
        assert taken
        await asyncio.sleep(wait)
        went.append(time.monotonic())

    began = time.monotonic()
    await asyncio.gather(*(caller(Buckets(clients[n % 3], {"b": rate})) for n in range(45)))
    for number, moment in enumerate(sorted(went), 1):
        assert number <= rate.capacity + (moment - began) * rate.per_second + 1


async def test_a_caller_that_cannot_wait_takes_nothing_and_gets_the_waiting_time(clients):
    buckets = Buckets(clients[0], {"b": Rate(1, 0.5)})
    assert await buckets.take([1], 0) == (True, 0)
    for replica in clients:
        taken, wait = await Buckets(replica, {"b": Rate(1, 0.5)}).take([1], 1.0)
        assert not taken
        assert wait == pytest.approx(2, abs=0.2)


async def test_of_several_buckets_all_are_taken_from_or_none(clients):
    both = Buckets(clients[0], {"plenty": Rate(10, 1), "scarce": Rate(1, 1)})
    assert (await both.take([1, 1], 0))[0]
    assert not (await both.take([1, 1], 0))[0]
    assert (await Buckets(clients[1], {"plenty": Rate(10, 1)}).take([9], 0))[0]


async def test_usage_beyond_the_estimate_is_owed_and_unused_tokens_come_back(clients):
    buckets = Buckets(clients[0], {"b": Rate(10, 1)})
    await buckets.take([5], 0)
    await buckets.correct([-5])
    assert await buckets.take([10], 0) == (True, 0)
    await buckets.correct([3])
    taken, wait = await buckets.take([1], 0)
    assert not taken
    assert wait == pytest.approx(4, abs=0.3)


async def test_more_than_a_bucket_holds_is_let_through_when_it_is_full(clients):
    assert await Buckets(clients[0], {"b": Rate(10, 1)}).take([1_000], 0) == (True, 0)


@pytest.mark.parametrize("most", [1, 7, 30, 500])
def test_no_sixty_seconds_see_more_than_the_limit_of_a_minute(most):
    rate = Rate.per_minute(most)
    moments = [max(0.0, (number - rate.capacity) / rate.per_second) for number in range(1, 4 * most + 1)]
    for first in moments:
        assert sum(first <= moment < first + 60 - 1e-9 for moment in moments) <= most


@pytest.fixture
def breakers(clients, monkeypatch):
    monkeypatch.setattr(rules, "REST", 0.3)
    told: list[str] = []
    return [Breaker(each, "thing", 1.0, told.append) for each in clients], told


async def failing(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        await breaker.report(await breaker.admit(), Outcome.FAILED)


async def test_failures_in_a_row_open_a_breaker_for_every_replica(breakers):
    (one, two, three), told = breakers
    await failing(one, 3)
    await failing(two, 1)
    assert (await three.admit()).granted
    await failing(three, 1)
    for each in (one, two, three):
        refused = await each.admit()
        assert (refused.granted, refused.state) == (False, "open")
        assert 0 < refused.wait <= 0.3
    assert told == ["opened"]


async def test_a_call_that_works_in_between_lets_failures_be_forgotten(breakers):
    (one, two, _), _ = breakers
    await failing(one, 4)
    await two.report(await two.admit(), Outcome.WORKED)
    await failing(one, 4)
    assert (await two.admit()).granted


async def test_after_its_rest_exactly_one_probe_is_let_through_and_closes_it_for_all(breakers):
    replicas, told = breakers
    await failing(replicas[0], 5)
    await asyncio.sleep(0.35)
    asked = await asyncio.gather(*(replicas[n % 3].admit() for n in range(30)))
    [probe] = [each for each in asked if each.granted]
    assert {each.state for each in asked} == {"probe", "probing"}
    await replicas[1].report(probe, Outcome.WORKED)
    assert [(await each.admit()).state for each in replicas] == ["closed"] * 3
    assert told == ["opened", "closed"]


async def test_a_probe_that_fails_opens_it_again(breakers):
    (one, two, _), told = breakers
    await failing(one, 5)
    await asyncio.sleep(0.35)
    await failing(two, 1)
    assert (await one.admit()).state == "open"
    assert told == ["opened", "opened"]


async def test_a_call_from_before_it_opened_changes_nothing(breakers):
    (one, two, _), _ = breakers
    early = await two.admit()
    await failing(one, 5)
    await two.report(early, Outcome.WORKED)
    assert (await one.admit()).state == "open"


async def test_a_probe_that_was_given_up_or_never_heard_of_again_makes_room_for_the_next(breakers):
    (one, two, _), _ = breakers
    await failing(one, 5)
    await asyncio.sleep(0.35)
    await one.report(await one.admit(), Outcome.UNKNOWN)
    lost = await two.admit()
    assert lost.state == "probe"
    assert not (await one.admit()).granted
    await asyncio.sleep(1.05)
    assert (await one.admit()).state == "probe"
    await two.report(lost, Outcome.WORKED)
    assert (await two.admit()).state == "probing"


async def test_every_replica_respects_a_dependencys_retry_after(breakers):
    (one, two, _), _ = breakers
    await one.report(await one.admit(), Outcome.WORKED, hold=0.4)
    held = await two.admit()
    assert (held.granted, held.state) == (False, "held")
    assert held.wait == pytest.approx(0.4, abs=0.1)
    await two.report(held, Outcome.UNKNOWN, hold=0.05)
    assert (await one.admit()).wait > 0.2
    await asyncio.sleep(held.wait + 0.02)
    assert (await two.admit()).state == "closed"


async def test_no_caller_is_turned_away_for_longer_than_ten_minutes(breakers):
    (one, _, _), _ = breakers
    await one.report(await one.admit(), Outcome.WORKED, hold=1e9)
    assert (await one.admit()).wait <= 600


async def test_while_redis_is_unavailable_nothing_is_admitted():
    nowhere = Sentinel("redis://127.0.0.1:9/0")
    with pytest.raises(OUTAGES):
        await Breaker(nowhere.scripts, "thing", 1.0).admit()
    with pytest.raises(OUTAGES):
        await Buckets(nowhere.scripts, {"b": Rate(1, 1)}).take([1], 10)
    await nowhere.close()


async def test_everything_about_a_limit_is_forgotten_in_time(breakers, clients, redis):
    (one, _, _), _ = breakers
    await failing(one, 1)
    await Buckets(clients[0], {"b": Rate(2, 1)}).take([1], 0)
    assert 0 < await redis.pttl("waggle:breaker:thing") <= 3_600_000
    assert 0 < await redis.pttl("waggle:bucket:b") <= 2_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Outcome)), max_size=25),
    st.integers(1, 20),
)
async def test_an_entrance_admits_what_its_breaker_and_its_bucket_both_would_and_takes_only_for_that(
    clients, calls, room
):
    name = uuid4().hex
    rates = {f"waggle:bucket:{name}": Rate(room, 1e-6)}
    entrances = [Admission(each, Breaker(each, name, 60), rates) for each in clients]
    failures = 0
    for replica, outcome in calls:
        admission = await entrances[replica].admit(0)
        expected = "open" if failures == rules.FAILURES else "closed" if room else LIMITED
        assert (admission.state, admission.granted) == (expected, expected == "closed")
        if not admission.granted:
            continue
        room -= 1
        await entrances[replica].report(admission, outcome)
        failures = {Outcome.WORKED: 0, Outcome.FAILED: failures + 1}.get(outcome, failures)


async def test_a_probe_that_finds_no_room_leaves_the_probe_to_another(clients, monkeypatch):
    monkeypatch.setattr(rules, "REST", 0.2)
    breakers = [Breaker(each, "thing", 60) for each in clients]
    await failing(breakers[0], 5)
    await asyncio.sleep(0.25)
    full = Admission(clients[0], breakers[0], {"waggle:bucket:full": Rate(1, 1e-6)})
    free = Admission(clients[1], breakers[1], {})
    await Buckets(clients[2], {"full": Rate(1, 1e-6)}).take([1], 0)
    assert (await full.admit(0)).state == LIMITED
    assert (await free.admit(0)).state == "probe"
