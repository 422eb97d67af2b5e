"""Facts of sessions on a real Redis: for turns no longer given whole, until the session ends or expires."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schemas.approval import EndSession
from schemas.conversation import OLDER_FACTS, RECENT_TURNS
from shared.blackboard import RunStore, keys
from shared.blackboard.conversations import Conversations
from shared.blackboard.session_facts import KEPT_FACTS, SessionFact, SessionFacts
from shared.errors import BlackboardLost
from tests.support.gateway_fixtures import apply, begin, cancel

NOW = datetime.now(UTC)


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


@pytest.fixture
def conversations(sentinel) -> Conversations:
    return Conversations(sentinel)


@pytest.fixture
def facts(sentinel) -> SessionFacts:
    return SessionFacts(sentinel)


async def say(store, numbers, tenant: str = "default", session: str = "s") -> None:
    for number in numbers:
        await begin(store, f"run-{number:03}", f"question {number}", session=session, tenant=tenant)
        await cancel(store, tenant, f"run-{number:03}")


def fact(number: int, content: str = "", **more) -> SessionFact:
    given = {"content": content or f"fact {number}", "run_id": f"run-{number:03}", "at": NOW, "importance": 0.5}
    return SessionFact.model_validate(given | more)


async def contents(conversations, tenant: str = "default", session: str = "s") -> list[str]:
    return [each.content for each in (await conversations.given(tenant, session, "run-x")).facts]


async def test_a_task_is_given_facts_of_the_turns_that_it_is_not_given_whole(store, conversations, facts):
    await say(store, range(RECENT_TURNS + 2))
    await facts.replace("default", "s", [fact(0, origins=["page:x"]), fact(1), fact(5)])
    given = await conversations.given("default", "s", "run-x")
    assert [(each.content, each.origins) for each in given.facts] == [("fact 0", ["page:x"]), ("fact 1", [])]
    shown = await conversations.session("default", "s")
    assert {each.content for each in shown.facts} == {"fact 0", "fact 1", "fact 5"}
    await facts.replace("default", "s", [fact(1)])
    assert await contents(conversations) == ["fact 1"]
    await facts.replace("default", "s", [])
    assert await contents(conversations) == []


async def test_the_end_of_a_session_ends_its_facts_and_a_new_one_does_not_find_them(store, conversations, facts):
    await say(store, range(RECENT_TURNS + 2))
    await facts.replace("default", "s", [fact(0)])
    last = f"run-{RECENT_TURNS + 1:03}"
    await apply(store, last, EndSession(run_id=last, tenant="default", by="ada", session="s"), "default")
    await asyncio.sleep(0.002)
    await say(store, range(50, 50 + RECENT_TURNS + 2))
    assert await contents(conversations) == []


async def test_facts_of_an_expired_session_do_not_come_back(sentinel, conversations, facts):
    store = RunStore(sentinel, ttl=60, session_ttl=0.3)
    await say(store, [0])
    await facts.replace("default", "s", [fact(0)])
    await asyncio.sleep(0.35)
    await say(store, range(1, RECENT_TURNS + 3))
    assert await contents(conversations) == []


async def test_a_fact_that_is_no_longer_valid_is_not_given(store, conversations, facts):
    await say(store, range(RECENT_TURNS + 2))
    past = NOW - timedelta(seconds=1)
    await facts.replace("default", "s", [fact(0, valid_until=past), fact(1, valid_until=NOW + timedelta(days=1))])
    assert await contents(conversations) == ["fact 1"]


async def test_facts_are_bounded_the_most_important_ones_are_kept(store, conversations, facts, redis):
    await say(store, range(RECENT_TURNS + 2))
    many = [fact(n % 2, f"{n:03} " + "x" * 150, importance=n / 200) for n in range(200)]
    await facts.replace("default", "s", many)
    assert len((await conversations.session("default", "s")).facts) == KEPT_FACTS
    given = await contents(conversations)
    assert len(given) == OLDER_FACTS
    assert {int(each.split()[0]) for each in given} == set(range(200 - OLDER_FACTS, 200))
    long = [fact(n % 2, "x" * 600, importance=n / 200) for n in range(60)]
    await facts.replace("default", "s", long)
    assert sum(map(len, await contents(conversations))) <= 6_000
    assert await redis.pttl(keys.session_facts("default", "s")) > 0


async def test_facts_of_tenants_with_sessions_of_one_name_never_meet(store, conversations, facts):
    for tenant in ("acme", "acme.sessions"):
        await say(store, range(RECENT_TURNS + 2), tenant)
    await facts.replace("acme", "s", [fact(0, "the secret of acme")])
    assert await contents(conversations, "acme") == ["the secret of acme"]
    assert await contents(conversations, "acme.sessions") == []


async def test_facts_are_not_written_to_a_lost_blackboard(facts, redis):
    await redis.flushall()
    with pytest.raises(BlackboardLost):
        await facts.replace("default", "s", [fact(0)])
