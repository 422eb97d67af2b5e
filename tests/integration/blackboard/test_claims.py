"""Claims of runs on resources outside, on a real Redis with a log in a real broker."""

import asyncio
import time

import pytest

from shared.blackboard import ClaimStore, claims, keys
from shared.blackboard.claims import Refused
from shared.errors import BlackboardLost, TerminalError
from shared.service.rebuild import rebuild
from tests.support.boards import RUN, author, cancelled, ended, keeping_board, live, wanted
from tests.support.orchestrating import completed, task

pytestmark = pytest.mark.broker

OTHER = "run-other"


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing after it runs."""


@pytest.fixture
async def store(sentinel, orchestrator) -> ClaimStore:
    await orchestrator.handle(task())
    await live(sentinel, OTHER)
    return ClaimStore(sentinel)


@pytest.fixture
def keep(orchestrator, settings):
    return keeping_board(orchestrator.parts.broker, settings)


@pytest.fixture
def keep_other(orchestrator, settings):
    return keeping_board(orchestrator.parts.broker, settings, OTHER)


async def test_one_run_holds_a_resource_and_others_are_refused_with_its_holder(store, keep, keep_other):
    mine = await store.claim(author(), wanted(), keep)
    theirs = await store.claim(author("data", OTHER), wanted(), keep_other)
    assert isinstance(theirs, Refused)
    assert theirs.holder == mine
    assert (mine.run_id, mine.agent, mine.resource, mine.reason) == (RUN, "research", "customer 42", "to write to them")
    assert await store.held("default") == [mine]


async def test_of_many_runs_that_race_for_a_resource_one_wins(store, sentinel, orchestrator, settings):
    async def race(number):
        run = f"run-{number}"
        await live(sentinel, run)
        keep = keeping_board(orchestrator.parts.broker, settings, run)
        return await store.claim(author(run=run), wanted(), keep)

    found = await asyncio.gather(*(race(number) for number in range(20)))
    (won,) = [each for each in found if not isinstance(each, Refused)]
    assert all(each.holder == won for each in found if isinstance(each, Refused))


async def test_a_run_that_claims_its_own_resource_again_keeps_its_number_and_may_extend_it(store, keep):
    first = await store.claim(author(), wanted(), keep)
    assert await store.claim(author(step="s2"), wanted(seconds=1), keep) == first
    longer = await store.claim(author(step="s2"), wanted(seconds=600), keep)
    assert (longer.number, longer.until > first.until) == (first.number, True)
    assert await store.held("default") == [longer]


async def test_a_released_resource_goes_to_the_run_that_waits_with_a_higher_number(store, keep, keep_other):
    mine = await store.claim(author(), wanted(), keep)
    waiting = asyncio.create_task(store.claim(author("data", OTHER), wanted(), keep_other, within=20))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await store.release(mine, keep, by="agent:research", why="done")
    theirs = await waiting
    assert theirs.run_id == OTHER
    assert theirs.number > mine.number
    await store.release(mine, keep, by="agent:research", why="again")
    assert await store.held("default") == [theirs], "a former holder releases nothing"


async def test_a_wait_is_bounded(store, keep, keep_other):
    await store.claim(author(), wanted(), keep)
    started = time.monotonic()
    assert isinstance(await store.claim(author("data", OTHER), wanted(), keep_other, within=0.5), Refused)
    assert 0.4 < time.monotonic() - started < 5


async def test_a_claim_ends_by_its_time(store, keep, keep_other):
    mine = await store.claim(author(), wanted(seconds=0.2), keep)
    await asyncio.sleep(0.3)
    assert await store.held("default") == []
    assert (await store.claim(author("data", OTHER), wanted(), keep_other)).number > mine.number


async def test_a_cancelled_run_keeps_its_claims_until_its_agents_have_answered(store, keep, keep_other, orchestrator):
    mine = await store.claim(author(), wanted(), keep)
    handoff = await cancelled(orchestrator)
    assert await store.held("default") == [mine], "its agent may still be acting on it"
    await orchestrator.handle(completed(handoff))
    assert await store.held("default") == []
    assert not isinstance(await store.claim(author("data", OTHER), wanted(), keep_other), Refused)


async def test_a_run_that_has_ended_gets_no_claim(store, keep, orchestrator):
    await ended(orchestrator)
    with pytest.raises(TerminalError, match="the run has ended"):
        await store.claim(author(), wanted(), keep)


@pytest.mark.parametrize("after", ["reservation", "append"])
async def test_a_writer_killed_between_two_steps_gets_the_claim_when_its_work_is_redelivered(
    store, keep, keep_other, sentinel, settings, after
):
    async def dies(name, entry):
        if after == "append":
            await keep(name, entry)
        raise Killed

    with pytest.raises(Killed):
        await store.claim(author(), wanted(), dies)
    assert await store.held("default") == []
    other = asyncio.create_task(store.claim(author("data", OTHER), wanted(), keep_other))
    await asyncio.sleep(0.3)
    mine = await store.claim(author(), wanted(), keep)
    assert (await other).holder == mine
    await lost(sentinel, settings)
    assert await store.held("default") == [mine]


async def test_the_reservation_of_a_dead_writer_expires_and_does_not_return_with_a_rebuild(
    store, keep, keep_other, sentinel, settings, monkeypatch
):
    monkeypatch.setattr(claims, "RESERVED_FOR", 1)

    async def dies(name, entry):
        await keep_other(name, entry)
        raise Killed

    with pytest.raises(Killed):
        await store.claim(author("data", OTHER), wanted(), dies)
    await asyncio.sleep(0.01)
    mine = await store.claim(author(), wanted(), keep)
    await lost(sentinel, settings)
    assert await store.held("default") == [mine]
    await store.release(mine, keep, by="ann", why="done")
    await lost(sentinel, settings)
    assert await store.held("default") == []


async def test_a_rebuild_restores_claims_exactly_and_numbers_continue_to_grow(store, keep, sentinel, settings):
    held = [await store.claim(author(), wanted(f"customer {number}"), keep) for number in range(5)]
    gone = await store.claim(author(), wanted("customer 9"), keep)
    await store.release(gone, keep, by="ann", why="done")
    await lost(sentinel, settings)
    assert await store.held("default") == held
    assert (await store.claim(author(), wanted("customer 9"), keep)).number > gone.number


async def test_a_claim_lost_by_redis_before_it_counts_is_known_after_the_rebuild(store, keep, sentinel, settings):
    async def loses(name, entry):
        await keep(name, entry)
        await lost(sentinel, settings)

    with pytest.raises(BlackboardLost):
        await store.claim(author(), wanted(), loses)
    await sentinel.refresh()
    assert len(await store.held("default")) == 1
    assert (await store.claim(author(), wanted(), keep)).run_id == RUN


async def test_tenants_claim_resources_of_the_same_name_apart(store, keep, sentinel, orchestrator, settings):
    mine = await store.claim(author(), wanted(), keep)
    await live(sentinel, RUN, "other")
    theirs = keeping_board(orchestrator.parts.broker, settings, tenant="other")
    assert (await store.claim(author(tenant="other"), wanted(), theirs)).tenant == "other"
    assert await store.held("default") == [mine]
    assert [each.tenant for each in await store.held("other")] == ["other"]


async def test_claims_are_bounded_and_ended_ones_make_room(store, keep, monkeypatch):
    monkeypatch.setattr(claims, "MOST_OF_RUN", 2)
    await store.claim(author(), wanted("a", seconds=0.3), keep)
    await store.claim(author(), wanted("b"), keep)
    with pytest.raises(TerminalError, match="at most"):
        await store.claim(author(), wanted("c"), keep)
    await asyncio.sleep(0.4)
    assert (await store.claim(author(), wanted("c"), keep)).resource == "c"


async def test_every_key_of_claims_but_the_number_expires(store, keep, sentinel):
    await store.claim(author(), wanted(), keep)
    assert 0 < await sentinel.own.pttl(keys.claims("default")) <= claims.CLAIMS_KEPT


async def lost(sentinel, settings):
    """Empty Redis and rebuild it."""
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
