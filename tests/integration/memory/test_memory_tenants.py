"""Attacks on the memories of another tenant: by SQL, by id, by similarity and by cache."""

import asyncpg
import pytest

from shared.memory import Meaning, MemoryStore, Selection, recall
from shared.memory.tables import TABLES, VECTORS
from tests.support.memories import NOW, memory

SECRET = "the launch code is xylophone"


@pytest.fixture
async def victim(store):
    """A memory of tenant `acme`, with its vector; tenant `eve` has one of its own."""
    one = memory(SECRET, subject="Ada", run="run-1", session="s")
    await store.put("acme", [one], {one.id: [1.0, 0.0]}, "m")
    await store.used("acme", [one.id], NOW)
    other = memory("the weather is fine", tenant="eve")
    await store.put("eve", [other], {other.id: [0.0, 1.0]}, "m")
    return one


WRITES = [
    "UPDATE memory_terms SET tenant = 'acme'",
    "INSERT INTO memory_terms VALUES ('acme', 'x', gen_random_uuid(), 1)",
]
READS = [
    "SELECT document FROM memories",
    "SELECT document FROM memories WHERE tenant = 'acme' OR true",
    "SELECT document FROM memories WHERE set_config('waggle.tenant', 'acme', true) = 'acme'",
    "WITH x AS MATERIALIZED (SELECT set_config('waggle.tenant', 'acme', true)) SELECT document FROM x, memories",
    "WITH x AS MATERIALIZED (SELECT set_config('role', 'none', true)) SELECT document FROM x, memories",
    "SELECT document FROM memories UNION ALL SELECT term FROM memory_terms UNION ALL SELECT id::text FROM memory_uses",
    "SELECT m.document FROM memory_vectors v JOIN memories m USING (tenant, id) ORDER BY v.embedding <=> '[1,0]'",
    "SELECT embedding::text FROM memory_vectors WHERE embedding = '[1,0]'",
]


@pytest.mark.parametrize("injected", READS)
async def test_injected_sql_reads_no_other_tenants_rows(store, victim, injected):
    async with store.door.of("eve") as connection:
        rows = await connection.fetch(injected)
    found = " ".join(str(value) for row in rows for value in row.values())
    assert "xylophon" not in found
    assert victim.id not in found.replace("-", "")
    assert "[1,0]" not in found


async def test_a_tenant_set_without_its_proof_reads_nothing(store, victim):
    async with store.door.of("eve") as connection:
        await connection.execute("SELECT set_config('waggle.tenant', 'acme', true)")
        for table in (*TABLES, VECTORS):
            assert await connection.fetch(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret FROM memory_secret",
        "DROP TABLE memories",
        "ALTER TABLE memories NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON memories",
    ],
)
async def test_the_role_reads_no_secret_and_changes_no_table(store, victim, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with store.door.of("eve") as connection:
            await connection.execute(statement)


async def test_no_row_is_written_for_changed_or_deleted_in_another_tenant(store, victim):
    before = await store.dump("acme")
    async with store.door.of("eve") as connection:
        assert await connection.execute("DELETE FROM memories WHERE tenant = 'acme'") == "DELETE 0"
        assert await connection.execute("UPDATE memory_uses SET count = 9 WHERE tenant = 'acme'") == "UPDATE 0"
    for statement in (
        "UPDATE memory_terms SET tenant = 'acme'",
        "INSERT INTO memory_terms VALUES ('acme', 'x', gen_random_uuid(), 1)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with store.door.of("eve") as connection:
                await connection.execute(statement)
    assert await store.dump("acme") == before


async def test_a_known_id_opens_nothing(store, victim):
    assert await store.get("eve", [victim.id]) == []
    assert await store.delete("eve", [victim.id]) == 0
    await store.used("eve", [victim.id], NOW)
    await store.embed("eve", "m", {victim.id: [1.0, 0.0]})
    assert len(await store.get("acme", [victim.id])) == 1
    assert (await recall(store, "acme", "launch code", NOW))[0].access_count == 1
    for which in (Selection(subject="Ada"), Selection(run="run-1"), Selection(session="s")):
        assert await store.select("eve", which) == []


async def test_a_similar_vector_and_equal_words_find_nothing(store, victim):
    found = await recall(store, "eve", SECRET, NOW, meaning=Meaning("m", [1.0, 0.0]))
    assert [each.memory.content for each in found] == ["the weather is fine"]


async def test_a_connection_used_for_one_tenant_shows_nothing_to_the_next(parts, store, victim):
    for _ in range(5):
        assert (await recall(store, "acme", "launch code", NOW))[0].memory.content == SECRET
        assert await recall(store, "eve", "launch code", NOW) == []
        async with store.door.owner() as connection:
            assert not await connection.fetchval("SELECT current_setting('waggle.tenant', true)")
            assert await connection.fetchval("SELECT current_user") != "waggle_memory"


async def test_the_frequency_of_a_word_in_another_tenant_changes_no_score(store, victim):
    before = await recall(store, "eve", "weather", NOW)
    await store.put("acme", [memory("weather " * 3, number) for number in range(1, 200)])
    assert await recall(store, "eve", "weather", NOW) == before


@pytest.fixture
async def plain(parts):
    """A store whose user is no superuser, may create no role and no extension; its database is its own."""
    dsn = parts["WAGGLE_POSTGRES"]
    owner = await asyncpg.connect(dsn)
    await owner.execute("DROP DATABASE IF EXISTS plain")
    await owner.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    await owner.execute("CREATE DATABASE plain OWNER plain")
    store = MemoryStore(dsn.replace("postgres:", "plain:", 1).replace("/waggle?", "/plain?", 1))
    yield store
    await store.close()
    await owner.execute("DROP DATABASE plain")
    await owner.close()


async def test_a_user_with_few_rights_is_bound_by_row_level_security_and_has_full_text_alone(plain):
    one = memory(SECRET)
    await plain.put("acme", [one], {one.id: [1.0, 0.0]}, "m")
    assert not await plain.door.has_vectors()
    found = await recall(plain, "acme", "launch code", NOW, meaning=Meaning("m", [1.0, 0.0]))
    assert [each.found_by for each in found] == [["text"]]
    assert await plain.without_vector("acme", "m") == []
    async with plain.door.of("eve") as connection:
        assert await connection.fetchval("SELECT current_user") == "plain"
        assert await connection.fetch("SELECT * FROM memories") == []
