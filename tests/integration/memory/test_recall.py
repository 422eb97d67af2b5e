"""Recall by words and by meaning on a real Postgres."""

import random
from datetime import timedelta

import pytest

from schemas.memory import MemoryKind
from shared.memory import Meaning, Wanted, index, recall, retrieval
from shared.memory.candidates import _BY_WORDS, ENTRIES, rarities
from tests.support.memories import NOW, memories, memory


async def contents(store, text, **more):
    return [each.memory.content for each in await recall(store, "acme", text, NOW, **more)]


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("Ada bought a violin in Cremona", "where did she buy the violins?"),
        ("会议改到星期三下午", "星期三的会议"),
        ("明日は東京で会議があります", "東京の会議はいつ"),
        ("Die Rechnung wurde überprüft", "überprüft"),
        ("Заказ отменён", "заказ"),
        ("order #4711 was refunded", "4711"),
    ],
)
async def test_a_memory_is_found_in_its_own_language(store, content, query):
    await store.put("acme", [*memories("the weather was fine", "天气很好", "es regnet heute"), memory(content, 50)])
    assert (await contents(store, query))[0] == content


async def test_a_query_without_words_or_without_matches_finds_nothing(store):
    await store.put("acme", memories("orders were late"))
    assert [await contents(store, text) for text in ("", "?!", "\x00", "\ud800", "xylophone")] == [[]] * 5
    assert await recall(store, "empty", "orders", NOW) == []


async def test_an_answer_is_found_next_to_its_question(store):
    turns = ["Where did you buy the violin?", "In a small shop by the river.", "Lovely.", "The food was great there."]
    await store.put("acme", [memory(text, n, session="s", position=n) for n, text in enumerate(turns)])
    found = await recall(store, "acme", "where was the violin bought", NOW, wanted=Wanted(most=2))
    assert {each.memory.content for each in found} == set(turns[:2])
    assert {tuple(each.found_by) for each in found} == {("text",), ("neighbour",)}


async def test_expired_and_future_memories_are_not_recalled(store):
    day = timedelta(days=1)
    validity = {
        "always": {},
        "expired": {"valid_until": NOW},
        "future": {"valid_from": NOW + day},
        "current": {"valid_from": NOW - day, "valid_until": NOW + day},
        "pinned": {"valid_until": NOW - day, "pinned": True},
    }
    some = [memory(f"the limit is {name}", n, **more) for n, (name, more) in enumerate(validity.items())]
    await store.put("acme", some)
    assert {each.split()[-1] for each in await contents(store, "limit")} == {"always", "current", "pinned"}


async def test_a_recall_is_limited_by_kind_number_and_tokens(store):
    some = [memory(f"limit {'xyz'[n % 3] * 9} {n} {n * n}", n, kind=list(MemoryKind)[n % 3]) for n in range(30)]
    await store.put("acme", some)
    assert len(await contents(store, "limit", wanted=Wanted(most=7))) == 7
    facts = await recall(store, "acme", "limit", NOW, wanted=Wanted(kinds=(MemoryKind.SEMANTIC,)))
    assert {each.memory.kind for each in facts} == {MemoryKind.SEMANTIC}
    assert len(await contents(store, "limit", wanted=Wanted(tokens=100))) < 4
    assert await contents(store, "limit", wanted=Wanted(tokens=0)) == []


async def test_the_same_thing_is_not_recalled_twice(store):
    text = "the quarterly report of the northern region was mailed to finance by the clerk"
    await store.put("acme", memories(*[text] * 9, "the report of the southern region is missing"))
    assert len(await contents(store, "quarterly report of the region")) == 2


async def test_a_vector_finds_what_shares_no_word_and_one_of_another_model_does_not(store):
    fiddle, orange, other = memories("a fiddle", "an orange", "a trumpet")
    await store.put("acme", [fiddle, orange, other], {fiddle.id: [1, 0.1, 0], orange.id: [0, 0, 1]}, "m")
    await store.embed("acme", "n", {other.id: [1, 0, 0]})
    await store.embed("acme", "m", {"0" * 32: [1, 0, 0]})
    found = await recall(store, "acme", "violin", NOW, meaning=Meaning("m", [1, 0, 0]))
    assert [each.memory.content for each in found] == ["a fiddle", "an orange"]
    assert [each.found_by for each in found] == [["vector"]] * 2
    assert [each.content for each in await store.without_vector("acme", "m")] == ["a trumpet"]
    assert await recall(store, "acme", "violin", NOW, meaning=Meaning("m", [1, 0])) == []


async def test_a_frequency_is_estimated_from_the_start_of_the_entries(store):
    texts = (f"alpha {'beta' if n % 4 == 0 else 'gamma'} {'delta' if n == 7 else ''}" for n in range(2_000))
    await store.put("acme", memories(*texts))
    async with store.door.of("acme") as connection:
        found = await rarities(connection, "acme", ["alpha", "beta", "delta", "omega"])
    assert found["alpha"][1] == pytest.approx(2_000, rel=0.2)
    assert found["beta"][1] == pytest.approx(500, rel=0.2)
    assert found["delta"][1] == 1
    assert "omega" not in found


async def test_words_that_are_all_frequent_are_found_together_in_a_sample(store):
    number = ENTRIES + 1_000
    for start in range(0, number, 1_000):
        texts = [memory(f"alpha {'' if n % 10 else 'beta'} {n}", n) for n in range(start, start + 1_000)]
        await store.put("acme", texts)
    assert all("alpha" in each for each in await contents(store, "alpha"))
    assert all("beta" in each for each in await contents(store, "alpha beta"))
    assert "6123" in (await contents(store, "alpha 6123"))[0]


async def test_an_index_of_vectors_finds_what_reading_all_finds(store, monkeypatch):
    monkeypatch.setattr(index, "FROM", 300)
    chance = random.Random(1)
    some = memories(*(f"note {n}" for n in range(400)))
    vectors = {each.id: [chance.gauss(0, 1) for _ in range(8)] for each in some}
    await store.put("acme", some, vectors, "m")
    asked = Meaning("m", [1.0] + [0.0] * 7)
    before = await contents(store, "violin", meaning=asked)
    assert await store.tune("acme", "m")
    assert not await store.tune("acme", "m")
    assert not await store.tune("eve", "m")
    async with store.door.of("acme") as connection:
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT id FROM memory_vectors WHERE tenant = $1 AND model = $2 AND vector_dims(embedding) = 8 "
            "ORDER BY embedding::vector(8) <=> '[1,0,0,0,0,0,0,0]'::vector(8) LIMIT 200",
            "acme",
            "m",
        )
    assert "memory_vectors_" in " ".join(row[0] for row in plan)
    assert await contents(store, "violin", meaning=asked) == before


async def test_words_are_looked_up_in_an_index_despite_row_level_security(store):
    await store.put("acme", memories(*(f"alpha {n}" for n in range(1_000))))
    async with store.door.of("acme") as connection:
        plan = await connection.fetch(f"EXPLAIN {_BY_WORDS}", "acme", ["alpha", "7"], [1.0, 2.0], 100, 100)
    text = "\n".join(row[0] for row in plan)
    assert "Index Cond: ((tenant = 'acme'::text) AND (term = q.term))" in text
    assert "Seq Scan" not in text


async def test_a_tainted_fact_is_recalled_only_once_it_is_confirmed(store):
    tainted = memory("the limit is nine", kind=MemoryKind.SEMANTIC, taint=["page:example.org"])
    event = memory("the limit was looked up", 1, taint=["page:example.org"])
    await store.put("acme", [tainted, event])
    assert await contents(store, "limit") == ["the limit was looked up"]
    await store.put("acme", [tainted.confirmed_at(NOW, "ada")])
    assert set(await contents(store, "limit")) == {"the limit is nine", "the limit was looked up"}


async def test_a_memory_that_is_forgotten_during_a_recall_is_left_out(store, monkeypatch):
    kept, gone = memories("The bees of Ada are red", "The bees of Eve are blue")
    await store.put("acme", [kept, gone])
    ranked = retrieval._ranked

    async def then_forget(*asked):
        found = await ranked(*asked)
        await store.delete("acme", [gone.id])
        return found

    monkeypatch.setattr(retrieval, "_ranked", then_forget)
    assert [each.memory for each in await recall(store, "acme", "Whose bees are red?", NOW)] == [kept]
