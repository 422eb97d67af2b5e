"""Memories in Postgres: written once, corrected by version, deleted whole, rebuilt byte for byte."""

import asyncio
import random
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from shared.archive import ArchiveUnavailable
from shared.errors import TerminalError
from shared.memory import Meaning, MemoryStore, Selection, recall
from shared.memory.view import MemoryView, Outcome
from tests.support.memories import NOW, memories, memory

HOSTILE = [
    "'; DROP TABLE memories; --",
    "a\x00b \ud800 \u202e reversed",
    "term=9 other=1 =",
    "x" * 8_000,
    "漢" * 4_000,
    "%s %(x)s $1 {} \\ \n\r\t",
    "🐝" * 2_000,
]


async def stored(store, table, tenant="acme"):
    async with store.door.of(tenant) as connection:
        return await connection.fetchval(f"SELECT count(*) FROM {table} WHERE tenant = $1", tenant)


async def test_a_memory_is_read_as_it_was_written(store):
    one = memory("Ada prefers reports by mail", subject="Ada", run="run-1", session="s", taint=["page:x"], pinned=True)
    assert await store.put("acme", [one]) == 1
    assert await store.get("acme", [one.id, "0" * 32, "no id", "x\x00"]) == [one]


async def test_a_redelivered_memory_changes_nothing(store):
    some = memories("orders were late", "orders were early")
    await store.put("acme", some)
    before = await store.dump("acme")
    assert await store.put("acme", [*some, some[0]]) == 0
    assert await store.dump("acme") == before


async def test_the_highest_version_counts_in_any_order_of_arrival(store):
    versions = [memory(f"the limit is {number} euros", version=number) for number in (1, 3, 2)]
    for each in versions:
        await store.put("acme", [each])
    assert (await store.get("acme", [versions[0].id]))[0].content == "the limit is 3 euros"
    assert not await recall(store, "acme", "1 2", NOW)
    assert len(await recall(store, "acme", "3", NOW)) == 1


async def test_of_concurrent_writers_of_the_same_memories_the_highest_version_wins(store):
    some = memories(*(f"order {number} was late" for number in range(60)))

    def shuffled():
        return [each.model_copy(update={"version": random.randint(1, 5)}) for each in random.sample(some, 60)]

    batches = [shuffled() for _ in range(8)]
    await asyncio.gather(*(store.put("acme", each) for each in batches))
    highest = {
        each.id: max(other.version for batch in batches for other in batch if other.id == each.id) for each in some
    }
    assert {each.id: each.version for each in await store.get("acme", list(highest))} == highest
    assert await stored(store, "memories") == 60
    async with store.door.of("acme") as connection:
        doubled = "SELECT count(*) FROM memory_terms WHERE tenant = 'acme' AND term = 'lat'"
        assert await connection.fetchval(doubled) == 60


async def test_an_emptied_store_is_rebuilt_byte_for_byte(store):
    some = [*memories(*HOSTILE, "orders were late"), memory("corrected", 90, version=2)]
    await store.put("acme", some)
    await store.used("acme", [some[-2].id], NOW)
    before = await store.dump("acme")
    async with store.door.owner() as connection:
        await connection.execute("TRUNCATE memories, memory_terms, memory_uses, memory_vectors")
    assert await store.dump("acme") == ""
    for each in random.sample(some, len(some)):
        await store.put("acme", [each])
    assert await store.dump("acme") == before


async def test_hostile_content_is_stored_and_found_as_text(store):
    await store.put("acme", memories(*HOSTILE))
    for each in HOSTILE:
        await recall(store, "acme", each, NOW)
    assert (await recall(store, "acme", "drop table", NOW))[0].memory.content == HOSTILE[0]
    assert await stored(store, "memories") == len(HOSTILE)


async def test_an_access_is_counted_without_rewriting_the_memory(store):
    one = memory("orders were late")
    await store.put("acme", [one])
    before = await store.dump("acme")
    later = NOW + timedelta(hours=1)
    await store.used("acme", [one.id], later)
    await store.used("acme", [one.id, "f" * 32], NOW)
    found = (await recall(store, "acme", "orders", NOW))[0]
    assert (found.access_count, found.last_accessed) == (2, later)
    assert await store.dump("acme") == before


async def test_a_deleted_memory_leaves_no_row_no_word_no_vector_and_no_use(store):
    gone, kept = memories("the secret is xylophone", "the weather is fine")
    vectors = {gone.id: [1.0, 0.0, 0.0], kept.id: [0.0, 1.0, 0.0]}
    await store.put("acme", [gone, kept], vectors, "m")
    await store.used("acme", [gone.id], NOW)
    assert await store.delete("acme", [gone.id, "0" * 32]) == 1
    assert [await stored(store, table) for table in ("memories", "memory_vectors", "memory_uses")] == [1, 1, 0]
    assert "xylophon" not in await store.dump("acme")
    assert not [each for each in await recall(store, "acme", "xylophone", NOW) if each.memory.id == gone.id]
    near = await recall(store, "acme", "anything", NOW, meaning=Meaning("m", [1.0, 0.0, 0.0]))
    assert [each.memory.id for each in near] == [kept.id]


async def test_a_correction_takes_effect_on_words_and_vector_and_keeps_the_uses(store):
    one = memory("the limit is apples")
    await store.put("acme", [one], {one.id: [1.0, 0.0]}, "m")
    await store.used("acme", [one.id], NOW)
    better = memory("the limit is oranges", version=2)
    assert await store.put("acme", [better]) == 1
    assert [await stored(store, table) for table in ("memories", "memory_vectors", "memory_uses")] == [1, 0, 1]
    assert await recall(store, "acme", "apples", NOW) == []
    assert (await recall(store, "acme", "oranges", NOW))[0].access_count == 1
    assert [each.version for each in await store.without_vector("acme", "m")] == [2]


async def test_memories_are_selected_by_what_they_are_about_page_by_page(store):
    some = [memory(f"note {n}", n, subject="Ada" if n % 2 else "Grace", run=f"run-{n % 3}", days=n) for n in range(9)]
    await store.put("acme", some)
    first = await store.select("acme", Selection(subject="Ada"), 3)
    rest = await store.select("acme", Selection(subject="Ada"), 3, after=first[-1])
    assert [each.content for each in first + rest] == ["note 1", "note 3", "note 5", "note 7"]
    assert len(await store.select("acme", Selection(run="run-0", subject="Ada"))) == 1
    assert await store.select("acme", Selection(session="x\x00")) == []


async def test_a_memory_of_another_tenant_is_refused(store):
    with pytest.raises(TerminalError) as refused:
        await store.put("acme", [memory("x", tenant="eve")])
    assert refused.value.code == "wrong_tenant"


async def test_an_unavailable_postgres_is_worth_a_retry():
    store = MemoryStore("postgresql://waggle@127.0.0.1:9/none")
    calls = (store.get("acme", []), store.put("acme", memories("x")), recall(store, "acme", "x", NOW))
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in failures] == [ArchiveUnavailable] * 3
    await store.close()


async def test_a_connection_that_postgres_ends_is_an_outage_and_the_next_call_works(store):
    await store.put("acme", memories("x"))

    async def cut_off():
        async with store.door.of("acme") as connection, store.door.owner() as other:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await other.execute(f"SELECT pg_terminate_backend({pid})")
            await connection.fetch("SELECT 1")

    with pytest.raises(ArchiveUnavailable):
        await cut_off()
    assert len(await recall(store, "acme", "x", NOW)) == 1


async def test_several_processes_prepare_an_empty_database_at_once(parts):
    dsn = parts["WAGGLE_POSTGRES"]
    first = MemoryStore(dsn)
    async with first.door.owner() as connection:
        await connection.execute("DROP DATABASE IF EXISTS several")
        await connection.execute("CREATE DATABASE several")
    stores = [MemoryStore(dsn.replace(urlsplit(dsn).path, "/several", 1)) for _ in range(4)]
    assert await asyncio.gather(*(each.put("acme", memories("x")) for each in stores)) in (
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    )
    for each in (*stores, first):
        await each.close()


async def test_a_memory_that_is_corrected_while_it_is_embedded_gets_no_vector_of_its_old_content(store):
    old = memory("Ada prefers mail")
    await store.put("acme", [old])
    [read] = await store.without_vector("acme", "m")
    await store.put("acme", [old.model_copy(update={"version": 2, "content": "Ada prefers calls"})])
    await store.embed("acme", "m", {old.id: [1.0, 0.0]}, {read.id: read.version})
    [left] = await store.without_vector("acme", "m")
    await store.embed("acme", "m", {old.id: [0.0, 1.0]}, {left.id: left.version})
    assert await store.without_vector("acme", "m") == []


async def test_a_cancelled_write_takes_no_other_with_it(store, monkeypatch):
    view, begun, resume = MemoryView(store), asyncio.Event(), asyncio.Event()
    keep_all = view.keep_all

    async def slowly(tenant, found):
        kept = await keep_all(tenant, found)
        begun.set()
        await resume.wait()
        return kept

    monkeypatch.setattr(view, "keep_all", slowly)
    first, cancelled, third = (memory(each, number) for number, each in enumerate(("one", "two", "three")))
    holder = asyncio.create_task(view.keep(memory("zero", 9)))
    await begun.wait()
    begun.clear()
    waiting = [asyncio.create_task(view.keep(each)) for each in (first, cancelled)]
    await asyncio.sleep(0)
    resume.set()
    await holder
    resume.clear()
    await begun.wait()  # the second transaction stores both
    last = asyncio.create_task(view.keep(third))
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait([waiting[1]])
    resume.set()
    kept = [await waiting[0], await last]
    assert [each.outcome for each in kept] == [Outcome.KEPT] * 2
    assert await store.get("acme", [third.id]) == [third]


async def test_a_memory_that_an_emptied_store_lacks_is_not_taken_for_a_forgotten_one(store, monkeypatch):
    view, known = MemoryView(store), memory("known")
    await view.keep(known)
    get = store.get

    async def of_an_emptied_store(tenant, ids):
        await store.delete(tenant, ids)
        return await get(tenant, ids)

    with monkeypatch.context() as emptying:
        emptying.setattr(store, "get", of_an_emptied_store)
        with pytest.raises(ArchiveUnavailable, match="emptied"):
            await view.keep(known)
    assert (await view.keep(known)).outcome is Outcome.KEPT
    await view.forget("acme", {known.id: NOW})
    assert (await view.keep(known)).outcome is Outcome.REFUSED
