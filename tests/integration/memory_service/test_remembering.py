"""The memory service on a real broker, Redis and Postgres: from the run log to rows, and back from the topic alone."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from schemas.memory import MemoryKind
from schemas.memory_log import ForgettingOrdered, MemoryForgotten, MemoryKept
from services.memory.recording import send
from services.memory.session_view import SessionView
from shared import archive
from shared.archive import ArchiveUnavailable
from shared.blackboard import keys
from shared.bus.admin import read_topic
from shared.memory import MemoryStore, Selection
from shared.memory.tables import OWNED, TABLES, VECTORS
from shared.memory.view import MemoryView
from shared.service import ended_runs
from shared.service.ended_runs import EndedRuns
from shared.service.outages import through_outages
from tests.support.embedders import Numbered
from tests.support.memories import memory
from tests.support.remembering import emptied, log, on_blackboard, remembering, single, until

pytestmark = pytest.mark.broker

NOW = datetime.now(UTC)


async def kept(store: MemoryStore, tenant="acme"):
    return await store.select(tenant, Selection())


def holds(store: MemoryStore, number: int, tenant="acme"):
    """A condition: the store has that many memories."""

    async def there():
        with suppress(ArchiveUnavailable):
            return len(await kept(store, tenant)) == number
        return False

    return there


async def test_an_ended_run_becomes_memories_in_postgres(settings, writer, sentinel, memories):
    async with remembering(settings, sentinel):
        await log(writer, settings, single(session="trip", requested_by="ada", context={"data": {"customer_id": 42}}))
        await until(holds(memories, 2))
    asked, answered = sorted(await kept(memories), key=lambda each: each.position)
    assert asked.content == "ada asked: Count the orders"
    assert asked.taint == []
    assert "Answer: There are 17." in answered.content
    assert answered.taint == ["task:context", "agent:data"]
    assert {each.subject for each in (asked, answered)} == {"customer 42"}
    assert {each.session for each in (asked, answered)} == {"trip"}
    assert [each.position for each in (asked, answered)] == [0, 1]
    assert all(str(each.sources[0]).startswith("runs.log/") for each in (asked, answered))


async def test_an_emptied_store_is_the_same_after_it_is_filled_from_the_topic(settings, writer, sentinel, memories):
    runs = [single(f"run-{n}", f"Question {n}", f"Answer {n}", session="s") for n in range(5)]
    async with remembering(settings, sentinel) as found:
        await log(writer, settings, *runs)
        await until(holds(memories, 10))
        pinned = (await kept(memories))[0].model_copy(update={"pinned": True, "version": 2})
        await send(found.parts, [MemoryKept(memory=pinned, by="ada")])
        gone = (await kept(memories))[1]
        await send(found.parts, [MemoryForgotten(tenant="acme", id=gone.id, by="ada", at=NOW)])
        await send(found.parts, [ForgettingOrdered(tenant="acme", run=(await kept(memories))[2].run, by="ada", at=NOW)])
        await until(lambda: found.counted("forgotten") == 3)
        before = await memories.dump("acme")
        await (await emptied(settings.postgres)).close()
        assert await memories.dump("acme") == ""
        assert await found.upkeep.fill()
        assert await found.upkeep.fill() == 0
    assert await memories.dump("acme") == before
    assert "forgotten" in before
    assert "order" in before


async def test_a_store_that_is_dropped_under_the_running_service_is_made_and_filled_again(
    settings, writer, sentinel, memories
):
    async with remembering(settings, sentinel) as found:
        await log(writer, settings, single())
        await until(holds(memories, 2))
        before = await memories.dump("acme")
        await found.upkeep.fill()
        async with memories.door.owner() as connection:
            await connection.execute(
                f"DROP TABLE IF EXISTS {', '.join((*TABLES, VECTORS, *OWNED))} CASCADE; DROP FUNCTION memory_tenant"
            )
        await log(writer, settings, single("run-2", tenant="beta"))
        await through_outages(found.upkeep.fill, archive.OUTAGES)
        await until(holds(memories, 2, "beta"))
        await until(holds(memories, 2))
    assert await memories.dump("acme") == before


@pytest.mark.parametrize("from_redis", [True, False])
async def test_a_run_whose_beginning_another_process_read_gives_the_same_memories(
    settings, writer, sentinel, memories, from_redis, monkeypatch
):
    run = single(session="trip", earlier=3)
    async with remembering(settings, sentinel):
        await log(writer, settings, run)
        await until(holds(memories, 2))
    before = await memories.dump("acme")
    await (await emptied(settings.postgres)).close()
    if from_redis:
        await on_blackboard(sentinel, run)
        monkeypatch.setattr(EndedRuns, "_of_log", refuse)
    monkeypatch.setattr(ended_runs, "LARGEST", 0)
    async with remembering(settings, sentinel, group="again"):
        await until(holds(memories, 2))
    assert await memories.dump("acme") == before
    assert {each.position for each in await kept(memories)} == {6, 7}


async def refuse(*_):
    raise AssertionError("the blackboard has it all")


async def test_records_delivered_once_more_publish_nothing_new(settings, writer, sentinel, memories):
    async with remembering(settings, sentinel):
        await log(writer, settings, single())
        await until(holds(memories, 2))
    async with remembering(settings, sentinel, group="again") as found:
        await log(writer, settings, single("run-2"))
        await until(holds(memories, 4))
        assert found.counted("kept") == 2
    assert sum(len(records) for records in [each async for each in read_topic(settings, "memories")]) == 4


async def test_a_run_delivered_once_more_while_the_store_is_empty_brings_nothing_forgotten_back(
    settings, writer, sentinel, memories, monkeypatch
):
    asked, missing = [], MemoryView.missing

    async def noting(self, *given):
        found = await missing(self, *given)
        asked.append(len(found))
        return found

    async with remembering(settings, sentinel) as found:
        await log(writer, settings, single())
        await until(holds(memories, 2))
        gone = (await kept(memories))[0]
        await send(found.parts, [MemoryForgotten(tenant="acme", id=gone.id, by="ada", reason="private", at=NOW)])
        await until(holds(memories, 1))
        [*_, ending] = [each async for records in read_topic(settings, "runs.log") for each in records]
        await (await emptied(settings.postgres)).close()
        monkeypatch.setattr(MemoryView, "missing", noting)
        delivered = asyncio.create_task(found.recorder.record(ending))
        await until(lambda: asked)
        await found.upkeep.fill()
        await delivered
        await until(holds(memories, 1))
    assert asked[-1] == 0
    assert sum(len(records) for records in [each async for each in read_topic(settings, "memories")]) == 3


async def test_an_older_version_that_comes_late_is_followed_by_the_newer_one(settings, writer, sentinel, memories):
    old = memory("Ada prefers tea.", days=1)
    new = old.model_copy(update={"content": "Ada prefers coffee.", "version": 2})
    async with remembering(settings, sentinel) as found:
        await send(found.parts, [MemoryKept(memory=new, by="ada"), MemoryKept(memory=old, by="memory")])
        await until(lambda: found.counted("outdated") == 1 and found.counted("known") == 1)
    assert [each.content for each in await kept(memories)] == ["Ada prefers coffee."]
    last = await last_of(settings, old.id)
    assert b"coffee" in last.value


async def last_of(settings, key: str):
    """The record of a key that compaction keeps."""
    found = [each async for records in read_topic(settings, "memories") for each in records if each.key == key.encode()]
    return max(found, key=lambda each: each.offset)


async def test_forgotten_memories_do_not_return_and_their_content_is_in_no_last_record(
    settings, writer, sentinel, memories
):
    one, other, foreign = memory("one", 1), memory("other", 2), memory("one", 1, tenant="beta")
    async with remembering(settings, sentinel) as found:
        await send(found.parts, [MemoryKept(memory=each, by="memory") for each in (one, other, foreign)])
        await until(holds(memories, 2))
        await until(holds(memories, 1, "beta"))
        await send(found.parts, [MemoryForgotten(tenant="acme", id=one.id, by="ada", reason="private", at=NOW)])
        await until(holds(memories, 1))
        later = one.model_copy(update={"version": 7})
        await send(found.parts, [MemoryKept(memory=later, by="memory")])
        await until(lambda: found.counted("refused") == 1)
        assert [each.id for each in await kept(memories)] == [other.id]
        assert len(await kept(memories, "beta")) == 1
    assert b'"content"' not in (await last_of(settings, one.id)).value


async def test_an_order_stands_for_memories_that_come_later_and_spares_newer_ones(settings, writer, sentinel, memories):
    about = {"subject": "customer 42"}
    before, late, newer = memory("a", 1, **about), memory("b", 2, **about), memory("c", 3, days=-1, **about)
    other = memory("d", 4, subject="customer 43")
    order = ForgettingOrdered(tenant="acme", subject="customer 42", by="ada", at=before.created + timedelta(hours=1))
    async with remembering(settings, sentinel) as found:
        await send(found.parts, [MemoryKept(memory=before, by="memory")])
        await until(holds(memories, 1))
        await send(found.parts, [order])
        await until(holds(memories, 0))
        await send(found.parts, [MemoryKept(memory=each, by="memory") for each in (late, newer, other)])
        await until(holds(memories, 2))
        await until(lambda: found.counted("refused") == 1)
        assert await found.view.missing("acme", [late, memory("e", 5)]) == [memory("e", 5)]
        assert {each.id for each in await kept(memories)} == {newer.id, other.id}
    for each in (before, late):
        assert b'"content"' not in (await last_of(settings, each.id)).value


async def test_everything_of_a_tenant_is_forgotten_and_nothing_of_another(settings, writer, sentinel, memories):
    mine, theirs = [memory(f"m{n}", n) for n in range(4)], memory("theirs", 9, tenant="beta")
    async with remembering(settings, sentinel) as found:
        await send(found.parts, [MemoryKept(memory=each, by="memory") for each in (*mine, theirs)])
        await until(holds(memories, 4))
        await send(
            found.parts, [ForgettingOrdered(tenant="acme", everything=True, by="ada", at=NOW + timedelta(days=9))]
        )
        await until(holds(memories, 0))
    assert len(await kept(memories, "beta")) == 1


async def test_expired_memories_are_removed_from_store_and_topic_and_pinned_ones_stay(
    settings, writer, sentinel, memories
):
    end = NOW - timedelta(hours=2)
    old, pinned = memory("old", 1, valid_until=end), memory("pinned", 2, valid_until=end, pinned=True)
    fresh = memory("fresh", 3, valid_until=NOW + timedelta(days=1))
    async with remembering(settings, sentinel) as found:
        await send(found.parts, [MemoryKept(memory=each, by="memory") for each in (old, pinned, fresh)])
        await until(holds(memories, 3))
        assert await found.upkeep.expire(NOW) == 1
        assert {each.id for each in await kept(memories)} == {pinned.id, fresh.id}
        assert found.counted("expired") == 1
    assert b'"reason":"expired"' in (await last_of(settings, old.id)).value


async def test_a_fact_that_was_replaced_keeps_its_text_for_as_long_as_facts_are_kept(
    settings, writer, sentinel, memories
):
    end = NOW - timedelta(hours=2)
    replaced = memory("replaced", 1, kind=MemoryKind.SEMANTIC, created=NOW - timedelta(days=9), valid_until=end)
    async with remembering(settings, sentinel, memory_semantic_days=30) as found:
        await send(found.parts, [MemoryKept(memory=replaced, by="memory")])
        await until(holds(memories, 1))
        assert await found.upkeep.expire(NOW) == 0
        assert await found.upkeep.expire(NOW + timedelta(days=22)) == 1


async def test_memories_get_vectors_in_the_background(settings, writer, sentinel, memories):
    async with remembering(settings, sentinel, embedder=Numbered()) as found:
        await send(found.parts, [MemoryKept(memory=memory(f"m{n}", n), by="memory") for n in range(3)])
        await until(holds(memories, 3))
        made = await found.upkeep.embed(Numbered())
        assert made == (3 if await memories.door.has_vectors() else 0)
        assert await found.upkeep.embed(Numbered()) == 0


async def test_a_record_that_cannot_be_read_is_passed_over(settings, writer, sentinel, memories):
    async with remembering(settings, sentinel) as found:
        await writer.publish(b"{", settings.topic_prefix + "memories", key=b"k")
        await send(found.parts, [MemoryKept(memory=memory("m"), by="memory")])
        await until(holds(memories, 1))
        topic = settings.topic_prefix + "memories"
        name = "waggle_records_unobserved_total"
        await until(lambda: found.parts.registry.get_sample_value(name, {"topic": topic}) == 1)


@pytest.mark.parametrize("wrong", [{}, {"everything": True, "run": "run-1"}])
def test_an_order_selects_something_or_everything(wrong):
    with pytest.raises(ValidationError, match="name a subject"):
        ForgettingOrdered(tenant="acme", by="ada", at=NOW, **wrong)


async def test_a_fact_that_is_forgotten_while_facts_are_written_leaves_the_conversation(
    settings, writer, sentinel, memories, monkeypatch
):
    fact = memory("Ada: no nuts", kind=MemoryKind.SEMANTIC, run="run-1", session="trip", created=NOW)
    key = keys.session_facts("acme", "trip")
    async with remembering(settings, sentinel) as found:
        await found.viewer.take(MemoryKept(memory=fact, by="memory"))
        assert await sentinel.own.exists(key)
        read, resume, replica = asyncio.Event(), asyncio.Event(), MemoryView(MemoryStore(settings.postgres))
        select = replica.store.select

        async def slowly(*wanted):
            found = await select(*wanted)
            if not read.is_set():
                read.set()
                await resume.wait()
            return found

        monkeypatch.setattr(replica.store, "select", slowly)
        writing = asyncio.create_task(SessionView(found.parts, replica).show([fact]))
        await read.wait()  # it has read the fact, and writes it after it was forgotten
        await found.viewer.forget("acme", [fact.id], by="ada", reason="she asked")
        resume.set()
        await writing
        await replica.store.close()
    assert not await sentinel.own.exists(key)
