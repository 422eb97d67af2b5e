"""The blackboard made again from the logs of a real Kafka on a real Redis."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from schemas.budget import Budget, DayBudget
from schemas.event import State
from schemas.step import HelpAsked
from services.orchestrator import outbox
from services.orchestrator.changeset import prepare
from shared.blackboard import Journal, Sentinel, read_journal, restore
from shared.blackboard.ledger import Ledger
from shared.bus import Delivery, publish
from shared.bus.admin import stream
from shared.errors import BlackboardLost
from shared.service.rebuild import generations, rebuild, restoring
from shared.service.rebuild import reading as rebuild_reading
from shared.service.rebuild.fold import fold
from tests.support.orchestrating import CARD, RUN, completed, delivery, handoff_of, task, token
from tests.support.rebuilding import keeping

pytestmark = pytest.mark.broker


async def everything(redis) -> dict:
    """Everything on the blackboard of the run, except expiries and outbox."""
    found = {}
    for key in await redis.keys("waggle:default:*"):
        kind = await redis.type(key)
        if key.endswith(":outbox"):
            continue
        read = {"hash": redis.hgetall, "set": redis.smembers, "stream": redis.xrange}.get(kind)
        found[key] = await read(key) if read else await redis.zrange(key, 0, -1, withscores=True)
    return {
        key: {k: v for k, v in value.items() if not k.startswith("written_")} if isinstance(value, dict) else value
        for key, value in found.items()
    }


async def test_a_flushed_blackboard_is_the_same_after_a_rebuild(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    before = await everything(sentinel.own)
    await sentinel.own.flushall()
    report = await rebuild(sentinel, settings)
    assert (report.runs, report.restored, report.unfinished, report.incomplete, report.epoch) == (1, 1, 1, [], 2)
    assert report.unreadable == 0
    assert await everything(sentinel.own) == before
    assert sentinel.generation.startswith("2:")


async def test_a_message_that_was_decided_about_before_the_loss_changes_nothing_after_it(
    orchestrator, sentinel, settings
):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))
    await orchestrator.handle(answer)
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await orchestrator.handle(answer)
    await rebuild(sentinel, settings)
    before = (await orchestrator.parts.runs.load("default", RUN)).run
    await orchestrator.handle(answer)
    assert (await orchestrator.parts.runs.load("default", RUN)).run == before


async def test_the_messages_a_run_waits_for_are_resent_when_its_last_message_is_redelivered(
    orchestrator, sentinel, settings
):
    await orchestrator.handle(task())
    asked = await handoff_of(orchestrator)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    waiting = await orchestrator.parts.runs.outbox("default", RUN)
    assert asked in waiting
    await orchestrator.handle(task())
    assert await orchestrator.parts.runs.outbox("default", RUN) == {}


async def test_a_run_that_is_further_in_redis_than_in_the_log_is_left_alone(
    orchestrator, sentinel, settings, monkeypatch
):
    await orchestrator.handle(task())
    asked = await handoff_of(orchestrator)
    with monkeypatch.context() as killed_before_it_published:
        killed_before_it_published.setattr(outbox, "publish", killed)
        with pytest.raises(asyncio.CancelledError):
            await orchestrator.handle(completed(asked))
    before = await everything(sentinel.own)
    await sentinel.remove()
    report = await rebuild(sentinel, settings)
    assert (report.runs, report.restored) == (1, 0)
    assert await everything(sentinel.own) == before


async def killed(*_):
    raise asyncio.CancelledError


async def test_at_equal_versions_the_log_wins_over_an_old_dump(orchestrator, sentinel, settings, raw):
    """The dump has a second change that was decided in a generation whose log was lost; the log has another one."""
    await orchestrator.handle(task())
    asked = await handoff_of(orchestrator)
    await orchestrator.handle(question(asked))
    state = f"waggle:default:run:{RUN}:state"
    version = await sentinel.own.hget(state, "version")
    await sentinel.own.hset(state, "state", '"succeeded"')
    dump = await raw.dump(state)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    await raw.restore(state, 0, dump, replace=True)
    await sentinel.remove()
    report = await rebuild(sentinel, settings)
    assert report.restored == 1
    assert await sentinel.own.hget(state, "version") == version
    assert await orchestrator.parts.runs.state("default", RUN) is State.WAITING_HUMAN


@pytest.fixture
async def raw(settings):
    """Redis without text in between: a dump is bytes."""
    client = Redis.from_url(settings.redis)
    yield client
    await client.aclose()


def question(handoff_id: str) -> Delivery:
    about = {"id": f"{handoff_id}/answer", "run_id": RUN, "tenant": "default", "agent": "data"}
    about["token"] = token(handoff_id, "data")
    return delivery(HelpAsked(**about, handoff_id=handoff_id, question="may I?"), f"{handoff_id}/answer")


async def test_of_two_changes_with_one_number_the_one_of_the_later_generation_counts(orchestrator, sentinel, settings):
    """A frozen orchestrator published its change only after the blackboard had been rebuilt without it."""
    await orchestrator.handle(task())
    asked = await handoff_of(orchestrator)
    answer = completed(asked)
    decision = await decided(orchestrator, answer)
    loaded = await orchestrator.parts.runs.load("default", RUN)
    late = prepare(answer, loaded, decision, settings.topic_prefix).records
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    await orchestrator.handle(question(asked))
    await publish(orchestrator.parts.broker, late[:1])
    await sentinel.own.flushall()
    report = await rebuild(sentinel, settings)
    assert report.incomplete == []
    assert await orchestrator.parts.runs.state("default", RUN) is State.WAITING_HUMAN


async def decided(orchestrator, message):
    from shared.runs import decide

    run = (await orchestrator.parts.runs.load("default", RUN)).run
    return decide(run, message.message, datetime.now(UTC), {"data": CARD})


async def test_journals_of_active_runs_are_restored_and_the_higher_fencing_epoch_wins(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)

    keep = keeping(orchestrator, settings, work)
    journal = await Journal(sentinel, "default", work, 60, keep).open()
    await journal.write("turn-1", {"reply": "first"})
    await keep("turn-1", journal.epoch - 1, {"reply": "from the grave"})
    await sentinel.own.flushall()
    report = await rebuild(sentinel, settings)
    assert (report.works, report.unreadable) == (1, 0)
    assert await read_journal(sentinel.own, "default", work) == {"turn-1": {"reply": "first"}}
    kept = await sentinel.own.ttl(f"waggle:default:journal:{work}")
    assert kept > 1.9 * await sentinel.own.ttl(f"waggle:default:run:{RUN}:state")


async def test_a_call_started_before_a_rebuild_is_known_as_started_after_it(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    journal = await Journal(sentinel, "default", work, 60, keeping(orchestrator, settings, work)).open()
    of = {"kind": "tool_call", "acting": {"digest": "digest"}}
    await journal.write("call-1/intent", {"tool": "pay", "arguments": "{}"}, of=of)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    ledger = Ledger(sentinel, "default", RUN, Budget(), DayBudget(), 60)
    assert await ledger.claim("digest", f"{RUN}/other/0.0/call-1") == f"{work}/call-1"


async def test_a_journal_that_an_old_dump_brought_back_is_overwritten_by_the_log(orchestrator, sentinel, settings, raw):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    journal = await Journal(sentinel, "default", work, 60, keeping(orchestrator, settings, work)).open()
    await journal.write("call-1/intent", None)
    key = f"waggle:default:journal:{work}"
    dump = await raw.dump(key)
    await journal.write("call-1/intent", {"tool": "send"})
    await raw.restore(key, 0, dump, replace=True)
    await sentinel.remove()
    await rebuild(sentinel, settings)
    assert await read_journal(sentinel.own, "default", work) == {"call-1/intent": {"tool": "send"}}


async def slow(settings, topic, since=None):
    """A log of journals whose reading takes seconds."""
    async for records in stream(settings, topic, since):
        await asyncio.sleep(0.8 if topic == "journal" else 0)
        yield records


async def test_a_rebuild_keeps_its_lock_however_long_each_of_its_phases_takes(
    orchestrator, sentinel, settings, monkeypatch
):
    await orchestrator.handle(task())
    await sentinel.own.flushall()
    monkeypatch.setattr(restore, "LOCK_TTL", 5_000)
    monkeypatch.setattr(rebuild_reading, "stream", slow)

    def folding(changes):
        time.sleep(6)
        return fold(changes)

    monkeypatch.setattr(restoring, "fold", folding)
    first = asyncio.create_task(rebuild(sentinel, settings))
    await asyncio.sleep(0.05)
    others = []
    while not first.done():
        others.append(await rebuild(sentinel, settings))
        await asyncio.sleep(0.05)
    assert (await first).restored == 1
    assert len(others) > 20
    assert set(others[:-1]) == {None}


async def test_a_rebuild_that_lost_its_lock_stops_says_so_and_writes_nothing_more(
    orchestrator, sentinel, settings, monkeypatch
):
    await orchestrator.handle(task())
    await sentinel.own.flushall()
    begun = asyncio.Event()

    async def stuck(settings, topic):
        begun.set()
        await asyncio.Event().wait()
        yield []

    monkeypatch.setattr(generations, "read_topic", stuck)
    monkeypatch.setattr(restore, "LOCK_TTL", 1_000)
    lost = asyncio.create_task(rebuild(sentinel, settings))
    await begun.wait()
    await sentinel.own.set("waggle:rebuilding", "somebody else")
    with pytest.raises(BlackboardLost, match=r"another holder.*nothing more was written"):
        await asyncio.wait_for(lost, 20)
    assert await sentinel.own.get("waggle:rebuilding") == "somebody else"
    assert await sentinel.own.keys("waggle:default:*") == []


async def test_one_who_restores_without_the_lock_writes_nothing(sentinel):
    restorer = restore.Restorer(sentinel.own, "frozen", 60)
    assert await restorer.begin()
    await sentinel.own.set("waggle:rebuilding", "somebody else")
    with pytest.raises(BlackboardLost):
        await restorer.write_journals({("default", "work-1"): {"turn-1": "from the grave"}})
    await restorer.end()
    assert await sentinel.own.keys("waggle:default:*") == []
    assert await sentinel.own.get("waggle:rebuilding") == "somebody else"


async def test_only_one_rebuilds_at_a_time(orchestrator, sentinel, settings, parts):
    await sentinel.own.set("waggle:rebuilding", "somebody else", px=5_000)
    assert await rebuild(sentinel, settings) is None
    other = Sentinel(parts["WAGGLE_REDIS"])
    assert await other.refresh()
    await other.close()


async def test_runs_too_old_to_be_kept_are_not_brought_back(orchestrator, sentinel, settings):
    await orchestrator.handle(task(budget=Budget(steps=1, seconds=1), deadline=datetime(2026, 1, 1, tzinfo=UTC)))
    await sentinel.own.flushall()
    short = settings.model_copy(update={"state_ttl": timedelta(milliseconds=1).total_seconds()})
    report = await rebuild(sentinel, short)
    assert (report.expired, report.restored) == (1, 0)


async def test_a_live_run_is_brought_back_however_old_it_is(orchestrator, sentinel, settings, redis):
    await orchestrator.handle(task())
    await sentinel.own.flushall()
    short = settings.model_copy(update={"state_ttl": timedelta(milliseconds=1).total_seconds()})
    report = await rebuild(sentinel, short)
    assert (report.expired, report.restored) == (0, 1)
    assert await redis.pttl(f"waggle:default:run:{RUN}:state") == -1
