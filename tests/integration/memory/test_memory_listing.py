"""Memories listed by filters with their uses, and counted before a forget, on a real Postgres."""

import pytest

from schemas.memory import MemoryKind
from shared.memory import MemoryStore, Selection
from shared.memory.listing import Filters, Place, list_memories, reach_of, show_memory
from tests.support.memories import NOW, memory

FACT = {"kind": MemoryKind.SEMANTIC}
SOME = [
    memory("Ada prefers reports by mail", 1, subject="Ada", run="run-1", session="s", days=1, **FACT),
    memory("Ada's bank is Evil", 2, subject="Ada", run="run-2", days=2, taint=["page:evil"], **FACT),
    memory("the import of orders was late", 3, run="run-2", session="s", days=3, pinned=True),
    memory("a page said: orders are free", 4, run="run-3", days=4, taint=["page:evil"]),
]


@pytest.fixture
async def filled(store):
    await store.put("acme", SOME)
    await store.put("other", [memory("orders of another tenant", 1, "other", subject="Ada", run="run-1")])
    return store


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filters(), [0, 1, 2, 3]),
        (Filters(Selection(subject="Ada")), [0, 1]),
        (Filters(Selection(run="run-2")), [1, 2]),
        (Filters(Selection(session="s", kind="semantic")), [0]),
        (Filters(tainted=True), [1, 3]),
        (Filters(tainted=False), [0, 2]),
        (Filters(candidate=True), [1]),
        (Filters(candidate=False, tainted=True), [3]),
        (Filters(pinned=True), [2]),
        (Filters(text="ORDER"), [2, 3]),
        (Filters(text="late orders"), [2]),
        (Filters(text="late banks"), []),
        (Filters(text="' OR 1=1 --"), []),
        (Filters(Selection(subject="' OR ''='")), []),
        (Filters(Selection(subject="%")), []),
        (Filters(Selection(session="\x00")), []),
    ],
)
async def test_a_list_has_the_memories_of_its_filters_newest_first(filled, wanted, found):
    listed = await list_memories(filled, "acme", wanted, 10)
    assert [each.memory for each in listed] == [SOME[number] for number in found]


async def test_a_list_is_read_page_by_page_also_when_a_memory_between_is_gone(filled):
    first = await list_memories(filled, "acme", Filters(), 2)
    last = first[-1].memory
    await filled.delete("acme", [last.id])
    rest = await list_memories(filled, "acme", Filters(), 2, Place(last.created, last.id))
    assert [each.memory for each in rest] == SOME[2:]


async def test_a_memory_is_shown_with_its_uses_to_its_tenant_alone(filled):
    await filled.used("acme", [SOME[0].id], NOW)
    shown = await show_memory(filled, "acme", SOME[0].id)
    assert (shown.memory, shown.uses, shown.last_used) == (SOME[0], 1, NOW)
    for tenant, id in (("other", SOME[0].id), ("acme", "0" * 32), ("acme", "' OR 1=1")):
        assert await show_memory(filled, tenant, id) is None


async def test_a_selection_is_counted_with_the_runs_that_it_reaches(filled):
    reach = await reach_of(filled, "acme", Selection(subject="Ada"), 10)
    assert (reach.memories, reach.candidates, reach.runs) == (2, 1, ["run-1", "run-2"])
    reach = await reach_of(filled, "acme", Selection(), 2)
    assert (reach.memories, len(reach.runs)) == (4, 2)


async def test_a_table_of_an_earlier_version_gets_the_columns_filled_from_its_documents(filled, parts):
    before = await filled.dump("acme")
    async with filled.door.owner() as connection:
        await connection.execute("ALTER TABLE memories DROP pinned, DROP tainted")
    store = MemoryStore(parts["WAGGLE_POSTGRES"])
    found = await list_memories(store, "acme", Filters(tainted=True, candidate=True), 10)
    assert [each.memory for each in found] == [SOME[1]]
    assert await store.dump("acme") == before
    await store.close()
