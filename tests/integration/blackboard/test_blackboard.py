"""The blackboard on a real Redis."""

from dataclasses import replace
from datetime import datetime

import pytest

from schemas.approval import CancelRun, PauseRun
from schemas.budget import Budget, DayBudget
from schemas.event import Progressed, State
from schemas.plan import AgentCard
from shared.blackboard import (
    OUTAGES,
    Followers,
    Journal,
    KnownAgents,
    RunStore,
    Sentinel,
    agents,
    announce,
    append_live_event,
    keys,
    known_agents,
)
from shared.blackboard.ledger import Amounts, Ledger
from shared.blackboard.listing import RunIndex, Wanted
from shared.errors import BlackboardLost, Conflict
from shared.runs import decide
from tests.support.blackboard import AGENTS, NOW, commit, written


async def kept(*_) -> None:
    """Records that the journal appends to the log."""


def progressed(run_id: str) -> Progressed:
    about = {"run_id": run_id, "tenant": "default", "at": NOW, "by": "data", "step_id": "data", "agent": "data"}
    return Progressed(**about, doing="reading")


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
    await store.mark_published("default", "run-d", list(waiting), store._sentinel.generation)
    assert await store.outbox("default", "run-d") == {}
    assert (await commit(store, write)).left == 0


async def test_every_write_says_who_when_and_why(store, redis):
    await commit(store, written("run-e"))
    fields = await redis.hgetall("waggle:default:run:run-e:state")
    assert (fields["written_by"], fields["written_why"]) == ("orchestrator", "waggle.task.v1")
    assert datetime.fromisoformat(fields["written_at"]) == NOW


async def test_tenants_do_not_see_each_others_runs(store, sentinel):
    await commit(store, written("run-f", tenant="acme"))
    assert (await store.load("other", "run-f")).run is None
    assert (await RunIndex(sentinel).find("other", Wanted(), 10)).runs == []
    assert [run.run_id for run in (await RunIndex(sentinel).find("acme", Wanted(), 10)).runs] == ["run-f"]


async def test_the_index_of_runs_forgets_what_has_expired_and_outlives_live_runs(store, redis):
    for number in range(8):
        await commit(store, written(f"run-{number}"))
    for number in range(7):
        await redis.delete(f"waggle:default:run:run-{number}:state")
    await commit(store, written("run-new"))
    assert sorted(await redis.zrange("waggle:default:runs", 0, -1)) == ["run-7", "run-new"]
    assert await redis.pttl("waggle:default:runs") == -1


PARTS = [f"run:run-g:{part}" for part in ("state", "processed", "outbox", "events", "ledger", "journals")]


async def lifetimes(redis) -> set[bool]:
    """For each key of the run, True if it expires."""
    keys = [f"waggle:default:{name}" for name in (*PARTS, "journal:run-g/data/0.0")]
    assert await redis.exists(*keys) == len(keys)
    return {await redis.pttl(key) > 0 for key in keys}


async def test_a_live_run_never_expires_and_everything_of_an_ended_one_expires_together(store, redis, sentinel):
    await commit(store, written("run-g"))
    ledger = Ledger(sentinel, "default", "run-g", Budget(), DayBudget(), 1.0)
    journal = await Journal(sentinel, "default", "run-g/data/0.0", 1.0, kept).open()
    await journal.write("answer/x", 1)
    await ledger.reserve("c1", "1", Amounts(tokens=5))
    await ledger.settle("c1", "1", Amounts(tokens=5))
    assert await lifetimes(redis) == {False}
    run, version, generation = await store.load("default", "run-g")
    order = CancelRun(run_id="run-g", tenant="default", by="ops", reason="enough")
    ended = decide(run, order, NOW, AGENTS).run
    write = replace(written("run-g", version, "m2"), before=run, after=ended, generation=generation)
    await store.commit(write)
    assert await lifetimes(redis) == {True}
    await (await Journal(sentinel, "default", "run-g/data/0.0", 1.0, kept).open()).write("answer/y", 2)
    await ledger.reserve("c2", "1", Amounts(tokens=5))
    await append_live_event(sentinel.scripts, progressed("run-g"))
    assert await lifetimes(redis) == {True}, "what comes late goes with the run"
    resumed = replace(written("run-g", version + 1, "m3"), before=ended, after=run, generation=generation)
    await store.commit(resumed)
    assert await lifetimes(redis) == {False}, "it was resumed"


async def test_nothing_is_kept_for_good_of_a_run_that_there_is_not(redis, sentinel):
    ledger = Ledger(sentinel, "default", "run-x", Budget(), DayBudget(), 60)
    await ledger.reserve("c1", "1", Amounts(tokens=5))
    await Journal(sentinel, "default", "run-x/data/0.0", 60, kept).open()
    await append_live_event(sentinel.scripts, progressed("run-x"))
    names = [name async for name in redis.scan_iter("*run-x*")]
    assert len(names) == 3
    for name in names:
        assert 0 < await redis.pttl(name) <= 60_000


async def test_an_agent_that_is_gone_is_not_planned_on_and_comes_back_with_its_next_announcement(redis):
    for name in ("data", "research"):
        await announce(redis, AgentCard(name=name, description="d"))
    await redis.zincrby("waggle:agents:seen", -agents.GONE_AFTER - 5, "data")
    assert list(await known_agents(redis)) == ["research"]
    await announce(redis, AGENTS["data"])
    assert list(await known_agents(redis)) == ["data", "research"]


async def test_an_agent_of_an_earlier_version_that_says_no_time_is_known(redis):
    await redis.hset("waggle:agents", "data", AGENTS["data"].model_dump_json())
    assert list(await known_agents(redis)) == ["data"]


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


async def test_a_live_event_between_two_changes_is_shown_between_them(store, redis, sentinel):
    await commit(store, written("run-n"))
    doing = Progressed(
        run_id="run-n", tenant="default", at=NOW, by="data", step_id="data", agent="data", doing="thinking"
    )
    await append_live_event(sentinel.scripts, doing)
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
    assert not sentinel.is_ready
    assert await sentinel.own.keys() == []
    await sentinel.renew(2)
    assert (await store.load("default", "run-x")).run is None


async def test_a_writer_of_an_earlier_generation_cannot_write_to_a_later_one(store, sentinel, parts):
    other = Sentinel(parts["WAGGLE_REDIS"])
    await other.refresh()
    await sentinel.renew(2)
    with pytest.raises(BlackboardLost):
        await commit(RunStore(other, 60), written("run-z"))
    await other.refresh()
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


async def held_back(sentinel, run_id: str, handoff_id: str) -> list[str]:
    """Answers of the ledger and the run about a handoff: to a model call, a tool call and a worker."""
    ledger = Ledger(sentinel, "default", run_id, Budget(), DayBudget(), 60, handoff_id)
    model_call = await ledger.reserve(f"{handoff_id}/turn-1", "1.1", Amounts(tokens=1))
    tool_call = await ledger.take(f"{handoff_id}/call-1", "1", Amounts(tool_calls=1))
    wanted = await RunStore(sentinel, ttl=60).awaits("default", run_id, handoff_id)
    return [model_call.status, tool_call.status, "granted" if wanted else "unwanted"]


async def test_each_commit_refreshes_which_handoffs_are_awaited(store, sentinel):
    write = written("run-j")
    await commit(store, write)
    first = write.after.steps["data"].handoff_id
    pause = PauseRun(run_id="run-j", tenant="default", by="eva", reason="wait")
    paused = decide(write.after, pause, NOW, AGENTS)
    await commit(store, replace(write, message_id="m2", before=write.after, after=paused.run, version=1))
    assert await held_back(sentinel, "run-j", first) == ["granted"] * 3
    assert await held_back(sentinel, "run-j", "run-j/other/0.0.1") == ["unwanted"] * 3


async def test_the_state_written_by_an_older_release_decides_which_handoffs_may_act_after_a_rollback(store, sentinel):
    write = written("run-k")
    await commit(store, write)
    key = keys.run("default", "run-k")
    await sentinel.own.hincrby(key, "version", 1)  # it has dispatched a step, and does not know the field `awaited`
    assert await held_back(sentinel, "run-k", "run-k/later/0.0.1") == ["granted"] * 3
    await sentinel.own.hincrby(key, "version", 1)
    await sentinel.own.hset(key, "state", '"CANCELLED"')
    first = write.after.steps["data"].handoff_id
    assert await held_back(sentinel, "run-k", first) == ["unwanted"] * 3


async def test_no_handoff_may_act_for_an_ended_run_even_if_the_run_claims_to_await_it(store, sentinel):
    write = written("run-l")
    await commit(store, write)
    await sentinel.own.hset(keys.run("default", "run-l"), "state", '"CANCELLED"')
    assert await held_back(sentinel, "run-l", write.after.steps["data"].handoff_id) == ["unwanted"] * 3
