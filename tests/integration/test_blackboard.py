"""The blackboard on a real Redis."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.event import Progressed, State
from schemas.log import LoggedEvent
from schemas.plan import AgentCard
from schemas.task import Task
from shared.blackboard import (
    OUTAGES,
    Followers,
    KnownAgents,
    RunStore,
    Sentinel,
    Write,
    agents,
    announce,
    known_agents,
    note,
)
from shared.errors import BlackboardLost, Conflict
from shared.runs import Intake, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENTS = {"data": AgentCard(name="data", description="tables")}


def written(run_id: str, version: int = 0, message_id: str = "m1", tenant: str = "default") -> Write:
    task = Task(objective="count", shape="single", agent="data", tenant=tenant)
    decision = decide(None, Intake(run_id, "t1", task), NOW, AGENTS)
    return Write(
        message_id=message_id,
        before=None,
        after=decision.run,
        version=version,
        generation="",
        events=[LoggedEvent(type=each.wire_type(), data=each).model_dump_json() for each in decision.events],
        outbox={each.id: "record" for each in decision.messages},
        author="orchestrator",
        at=NOW.isoformat(),
        why="waggle.task.v1",
    )


def commit(store: RunStore, write: Write):
    """As one who has just read the run."""
    return store.commit(replace(write, generation=store._sentinel.generation))


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


async def test_a_run_is_read_back_as_it_was_written(store):
    write = written("run-a")
    assert (await commit(store, write)).fresh
    assert (await store.load("default", "run-a"))[:2] == (write.after, 1)
    assert await store.state("default", "run-a") is State.EXECUTING


async def test_the_same_message_twice_writes_once(store):
    assert (await commit(store, written("run-b"))).fresh
    assert not (await commit(store, written("run-b"))).fresh
    assert (await store.load("default", "run-b"))[1] == 1


async def test_a_write_that_was_decided_on_an_old_version_is_refused(store):
    await commit(store, written("run-c"))
    with pytest.raises(Conflict):
        await commit(store, written("run-c", version=0, message_id="m2"))


async def test_the_outbox_is_written_with_the_state_and_emptied_when_published(store):
    write = written("run-d")
    await commit(store, write)
    waiting = await store.outbox("default", "run-d")
    assert set(waiting) == set(write.outbox)
    repeat = await commit(store, write)
    assert (repeat.fresh, repeat.left) == (False, len(waiting))
    await store.published("default", "run-d", list(waiting), store._sentinel.generation)
    assert await store.outbox("default", "run-d") == {}
    assert (await commit(store, write)).left == 0


async def test_every_write_says_who_when_and_why(store, redis):
    await commit(store, written("run-e"))
    fields = await redis.hgetall("waggle:default:run:run-e:state")
    assert (fields["written_by"], fields["written_why"]) == ("orchestrator", "waggle.task.v1")
    assert datetime.fromisoformat(fields["written_at"]) == NOW


async def test_tenants_do_not_see_each_others_runs(store):
    await commit(store, written("run-f", tenant="acme"))
    assert (await store.load("other", "run-f")).run is None
    assert await store.latest("other", 10) == []
    assert [run.id for run in await store.latest("acme", 10)] == ["run-f"]


async def test_the_index_of_runs_forgets_what_has_expired_and_expires_with_the_last(store, redis):
    for number in range(8):
        await commit(store, written(f"run-{number}"))
    for number in range(7):
        await redis.delete(f"waggle:default:run:run-{number}:state")
    await commit(store, written("run-new"))
    assert sorted(await redis.zrange("waggle:default:runs", 0, -1)) == ["run-7", "run-new"]
    assert 0 < await redis.pttl("waggle:default:runs") <= 60_000


async def test_everything_of_a_run_has_a_time_to_live(store, redis):
    await commit(store, written("run-g"))
    for part in ("state", "processed", "outbox", "events"):
        assert 0 < await redis.pttl(f"waggle:default:run:run-g:{part}") <= 60_000


async def test_live_events_can_be_taken_up_where_they_were_left(store, sentinel):
    await commit(store, written("run-h"))
    seen = []
    followers = Followers(sentinel)
    async for event in followers.follow("default", "run-h"):
        seen.append(event)
        if event.type == "waggle.step-dispatched.v1":
            break
    async for event in followers.follow("default", "run-h", after=seen[0].id):
        assert event == seen[1]
        break
    await followers.close()


async def test_an_agent_that_announced_itself_is_known(redis):
    await announce(redis, AGENTS["data"])
    assert (await known_agents(redis))["data"] == AGENTS["data"]


async def test_what_is_noted_between_two_changes_is_shown_between_them(store, redis, sentinel):
    await commit(store, written("run-n"))
    doing = Progressed(
        run_id="run-n", tenant="default", at=NOW, by="data", step_id="data", agent="data", doing="thinking"
    )
    await note(sentinel.scripts, doing)
    await commit(store, written("run-n", version=1, message_id="m2"))
    ids = [id for id, _ in await redis.xrange("waggle:default:run:run-n:events")]
    first = len(written("run-n").events)
    assert ids[first - 1 : first + 2] == [f"1-{first}", f"1-{first + 1}", "2-1"]


async def test_an_emptied_blackboard_takes_no_write_and_shows_nothing_until_it_is_declared_whole(store, sentinel):
    await commit(store, written("run-x"))
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await store.load("default", "run-x")
    with pytest.raises(BlackboardLost):
        await commit(store, written("run-x"))
    assert not sentinel.is_whole
    assert await sentinel.own.keys() == []
    await sentinel.renew(2)
    assert (await store.load("default", "run-x")).run is None


async def test_who_worked_with_an_earlier_generation_cannot_write_to_a_later_one(store, sentinel, parts):
    other = Sentinel(parts["WAGGLE_REDIS"])
    await other.look()
    await sentinel.renew(2)
    with pytest.raises(BlackboardLost):
        await commit(RunStore(other, 60), written("run-z"))
    await other.look()
    assert (await commit(RunStore(other, 60), written("run-z"))).fresh
    await other.close()


async def test_a_redis_that_is_full_counts_as_away_not_as_a_defect(store, redis):
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(OUTAGES):
            await commit(store, written("run-full"))
    finally:
        await redis.config_set("maxmemory", 0)
    assert (await commit(store, written("run-full"))).fresh


async def test_the_agents_of_before_a_rebuild_are_not_remembered_after_it(sentinel, redis, monkeypatch):
    monkeypatch.setattr(agents, "FRESH_FOR", 60.0)
    known = KnownAgents(sentinel)
    await announce(redis, AgentCard(name="old", description="d"))
    assert list(await known.get()) == ["old"]
    await redis.flushall()
    await announce(redis, AgentCard(name="new", description="d"))
    assert list(await known.get()) == ["old"]
    await sentinel.renew(2)
    assert list(await known.get()) == ["new"]
