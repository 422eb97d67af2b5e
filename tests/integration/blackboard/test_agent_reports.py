"""Reports of agents' replicas on the blackboard: announced whole, renewed by digests, gone with their replica."""

from datetime import UTC, datetime

import pytest

from schemas.health import AgentHealth, ServerHealth
from schemas.plan import AgentCard
from shared.blackboard import agents, announce, keys, known_agents, reports_of_agents, still_announced

CARD = AgentCard(name="data", description="tables äöü")
AT = datetime.now(UTC)


def report(replica: str, *, connected: bool = True, agent: str = "data") -> AgentHealth:
    server = ServerHealth(
        name="time", connected=connected, since=AT, error="" if connected else "it ended", error_at=AT
    )
    return AgentHealth(agent=agent, replica=replica, servers=[server])


async def test_each_replica_has_a_report_of_its_own(redis):
    for each in (report("a"), report("b", connected=False), report("a", agent="data-2")):
        await announce(redis, CARD.model_copy(update={"name": each.agent}), each)
    found = await reports_of_agents(redis)
    assert found == {"data": [report("a"), report("b", connected=False)], "data-2": [report("a", agent="data-2")]}
    assert list(await known_agents(redis)) == ["data", "data-2"]


async def test_a_sign_of_life_suffices_until_card_or_report_changes_or_is_lost(redis):
    mine = report("a")
    assert not await still_announced(redis, CARD, mine)
    assert await known_agents(redis) == {}
    await announce(redis, CARD, mine)
    assert await still_announced(redis, CARD, mine)
    assert not await still_announced(redis, CARD, report("a", connected=False))
    assert not await still_announced(redis, CARD.model_copy(update={"description": "d"}), mine)
    await redis.hdel(keys.AGENTS_HEALTH, "data/a")
    assert not await still_announced(redis, CARD, mine)


async def test_a_sign_of_life_renews_both_times(redis):
    await announce(redis, CARD, report("a"))
    for name, member in ((keys.AGENTS_SEEN, "data"), (keys.AGENTS_HEALTH_SEEN, "data/a")):
        await redis.zadd(name, {member: 5})
    assert await reports_of_agents(redis) == {}
    assert await known_agents(redis) == {}
    assert await still_announced(redis, CARD, report("a"))
    assert list(await reports_of_agents(redis)) == list(await known_agents(redis)) == ["data"]


async def test_a_silent_replica_is_not_shown_and_is_removed_by_the_next_announcement(redis, monkeypatch):
    await announce(redis, CARD, report("a"))
    await redis.zincrby(keys.AGENTS_HEALTH_SEEN, -agents.SILENT_AFTER - 5, "data/a")
    assert await reports_of_agents(redis) == {}
    await announce(redis, CARD, report("b"))
    assert await redis.hkeys(keys.AGENTS_HEALTH) == ["data/b"]
    assert await redis.zcard(keys.AGENTS_HEALTH_SEEN) == 1


@pytest.mark.parametrize("health", [None, report("a")])
async def test_an_announcement_with_and_without_a_report_registers_the_agent(redis, health):
    await announce(redis, CARD, health)
    assert await known_agents(redis) == {"data": CARD}
    assert len(await reports_of_agents(redis)) == (health is not None)
