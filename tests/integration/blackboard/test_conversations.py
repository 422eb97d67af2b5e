"""Sessions on a real Redis: bounded, ended, expiring, and of one tenant."""

import asyncio
import json

import pytest

from schemas.approval import EndSession
from schemas.conversation import EARLIER_TURNS, RECENT_TURNS
from shared.access.principals import digest
from shared.agent.opening import opening
from shared.blackboard import RunStore, keys
from shared.blackboard.conversations import KEPT, Conversations
from shared.errors import BlackboardLost
from shared.runs.dispatch import step_request
from tests.support.gateway_fixtures import apply, begin, cancel


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


@pytest.fixture
def conversations(sentinel) -> Conversations:
    return Conversations(sentinel)


def run_named(session: str, tenant: str, number: int) -> str:
    return f"run-{digest(session)[:8]}-{tenant}-{number:03}"


async def say(store, number: int, session: str = "s", tenant: str = "default", text: str = ""):
    """A turn that has ended."""
    run_id = run_named(session, tenant, number)
    await begin(store, run_id, text or f"question {number}", session=session, tenant=tenant)
    return await cancel(store, tenant, run_id)


async def end(store, run_id: str, session: str = "s", tenant: str = "default"):
    command = EndSession(run_id=run_id, tenant=tenant, by="ada", session=session)
    return await apply(store, run_id, command, tenant)


async def test_turns_are_there_with_the_commit_that_starts_and_ends_their_run(store, conversations):
    assert await conversations.session("default", "s") is None
    await begin(store, "run-a", session="s")
    [turn] = (await conversations.session("default", "s")).turns
    assert turn.status == "running"
    await cancel(store, "default", "run-a")
    [turn] = (await conversations.session("default", "s")).turns
    assert (turn.status, turn.run_id) == ("cancelled", "run-a")


async def test_a_conversation_of_500_turns_stays_within_its_bounds_and_the_prompt_of_a_task_flat(
    store, conversations, redis
):
    lengths, sizes = [], []
    for number in range(500):
        run = await say(store, number)
        if number in {60, 499}:
            given = await conversations.given("default", "s", "run-x")
            step = step_request(
                run.model_copy(update={"conversation": given}),
                run.steps["data"],
                f"{run.id}/data/0.0.1",
                run.started,
                {},
            )
            lengths.append(len(json.dumps(opening("data", "Count.", step, step.objective, []).messages)))
            sizes.append(await redis.hlen(keys.session_turns("default", "s")))
    found = await conversations.session("default", "s")
    assert (found.total, len(found.turns), sizes) == (500, KEPT, [KEPT, KEPT])
    assert [turn.objective for turn in found.turns][-2:] == ["question 498", "question 499"]
    assert (len(given.turns), len(given.earlier), given.left_out) == (
        RECENT_TURNS,
        EARLIER_TURNS,
        500 - RECENT_TURNS - EARLIER_TURNS,
    )
    assert max(lengths) - min(lengths) < 100


async def test_an_ended_session_starts_empty_and_its_turn_at_work_does_not_come_back(store, conversations):
    await say(store, 1)
    await begin(store, "run-late", session="s")
    await end(store, "run-late")
    found = await conversations.session("default", "s")
    assert (found.turns, found.total, found.ended.by) == ([], 0, "ada")
    await cancel(store, "default", "run-late")
    assert (await conversations.session("default", "s")).turns == []
    assert (await conversations.given("default", "s", "run-x")).turns == []
    await asyncio.sleep(0.002)
    await say(store, 3)
    assert [turn.objective for turn in (await conversations.session("default", "s")).turns] == ["question 3"]


async def test_an_earlier_end_does_not_bring_back_what_a_later_one_hid(store, conversations):
    await say(store, 1)
    await asyncio.sleep(0.002)
    await say(store, 2)
    await end(store, run_named("s", "default", 2))
    await end(store, run_named("s", "default", 1))
    assert (await conversations.session("default", "s")).turns == []


async def test_a_session_expires_after_its_last_turn_and_each_turn_renews_it(sentinel, conversations, redis):
    store = RunStore(sentinel, ttl=60, session_ttl=0.6)
    await say(store, 1)
    await asyncio.sleep(0.4)
    await say(store, 2)
    await asyncio.sleep(0.4)
    assert (await conversations.session("default", "s")).total == 2
    await asyncio.sleep(0.3)
    assert await conversations.session("default", "s") is None
    assert await conversations.list("default", 10) == []
    await say(store, 3)
    assert (await conversations.session("default", "s")).total == 1
    await asyncio.sleep(0.8)
    assert await redis.keys("waggle:*session*") == []


async def test_a_session_never_outlives_the_record_of_its_last_run(sentinel, conversations):
    store = RunStore(sentinel, ttl=1, session_ttl=3_600)
    await say(store, 1)
    found = await conversations.session("default", "s")
    run = (await store.load("default", found.turns[-1].run_id)).run
    assert (found.expires - run.finished).total_seconds() < 2


@pytest.mark.parametrize("name", ["s", "a:b", "session-turns:s", "../s", "*", "s/../../t", "%2e%2e", "a" * 255])
async def test_sessions_of_tenants_and_of_odd_names_never_meet(store, conversations, name):
    await say(store, 1, name, "acme", "the secret of acme")
    await say(store, 1, "s:other", "default")
    await say(store, 2, name, "acme.sessions")
    assert [turn.objective for turn in (await conversations.session("acme", name)).turns] == ["the secret of acme"]
    assert await conversations.session("default", name) is None
    assert [each.name for each in await conversations.list("acme", 10)] == [name]
    assert (await conversations.given("default", name, "run-x")).turns == []
    assert "secret" not in str(await conversations.list("default", 10) + await conversations.list("acme.sessions", 10))


async def test_sessions_are_listed_the_one_with_the_latest_turn_first(store, conversations):
    for name in ("a", "b", "c"):
        await say(store, 1, name)
        await asyncio.sleep(0.002)
    await say(store, 2, "a")
    assert [each.name for each in await conversations.list("default", 2)] == ["a", "c"]
    assert [each.name for each in await conversations.list("default", 2, 2)] == ["b"]


async def test_a_conversation_is_not_read_from_a_lost_blackboard(store, conversations, redis):
    await say(store, 1)
    await redis.flushall()
    with pytest.raises(BlackboardLost):
        await conversations.given("default", "s", "run-x")
