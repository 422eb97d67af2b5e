"""Store of memories: rows, full-text entries, vectors and uses, always of one tenant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from schemas.memory import Memory, writable
from shared.errors import TerminalError
from shared.memory.connection import Door
from shared.memory.forgetting import lock, refused
from shared.memory.index import build, literal
from shared.memory.marks import CANDIDATE, marks
from shared.memory.terms import impacts, stored_terms, terms_of

Vector = Sequence[float]

_ID = re.compile("[0-9a-f]{32}")

_FIELDS = (
    "tenant, id, kind, version, subject, run, session, position, created, valid_from, valid_until, importance, marks, "
    "terms, document"
)
_INSERT = f"""
INSERT INTO memories ({_FIELDS})
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::real[], $13::smallint[], $14::text[], $15::text[])
ON CONFLICT (tenant, id) {{otherwise}} RETURNING id
"""  # noqa: S608 -- the names of our own columns
_REPLACED = ", ".join(f"{each} = excluded.{each}" for each in _FIELDS.split(", ")[2:])
_ADD = _INSERT.format(otherwise="DO NOTHING")
_REPLACE = _INSERT.format(otherwise=f"DO UPDATE SET {_REPLACED}")
_DELETE_VECTORS = "DELETE FROM memory_vectors WHERE tenant = $1 AND id = ANY($2::uuid[])"
_LOCKED = "SELECT id, version, terms FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE"
_ADD_TERMS = "INSERT INTO memory_terms SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::smallint[])"
_DELETE_TERMS = """
DELETE FROM memory_terms p USING unnest($2::text[], $3::uuid[]) gone(term, id)
WHERE p.tenant = $1 AND p.term = gone.term AND p.id = gone.id
"""
_DELETE = "DELETE FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[])"
_ADD_VECTORS = """
INSERT INTO memory_vectors (tenant, model, id, embedding)
SELECT $1, $2, v.id, v.embedding::vector FROM unnest($3::uuid[], $4::text[], $5::int[]) v(id, embedding, version)
JOIN memories m ON m.tenant = $1 AND m.id = v.id AND m.version = coalesce(v.version, m.version) FOR SHARE OF m
ON CONFLICT (tenant, id, model) DO UPDATE SET embedding = excluded.embedding
"""
_WITHOUT_VECTOR = """
SELECT document FROM memories m WHERE tenant = $1
AND NOT EXISTS (SELECT 1 FROM memory_vectors v WHERE v.tenant = $1 AND v.id = m.id AND v.model = $2)
ORDER BY created, id LIMIT $3
"""
_GET = "SELECT document FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[])"
_ANY = "SELECT EXISTS (SELECT FROM memories WHERE tenant = $1)"
_USED = """
INSERT INTO memory_uses (tenant, id, count, last_accessed)
SELECT $1, id, 1, $3 FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[]) ORDER BY id
ON CONFLICT (tenant, id) DO UPDATE
SET count = memory_uses.count + 1, last_accessed = greatest(memory_uses.last_accessed, excluded.last_accessed)
"""
_SELECTED = """
SELECT id, document FROM memories WHERE tenant = $1
AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR run = $3) AND ($4::text IS NULL OR session = $4)
AND ($5::text IS NULL OR kind = $5) AND ($6::timestamptz IS NULL OR (created, id) < ($6, $7::uuid))
ORDER BY created DESC, id DESC LIMIT $8
"""
_DUMP = """
SELECT document || E'\\n' || terms FROM memories WHERE tenant = $1 ORDER BY id
"""
_DUMP_TERMS = "SELECT term || ' ' || id || ' ' || impact FROM memory_terms WHERE tenant = $1 ORDER BY term, id"
_DUMP_FORGOTTEN = "SELECT 'forgotten ' || id FROM memory_forgotten WHERE tenant = $1 ORDER BY id"
_DUMP_ORDERS = "SELECT 'order ' || key || ' ' || at FROM memory_orders WHERE tenant = $1 ORDER BY key"
_DUMPED = (_DUMP, _DUMP_TERMS, _DUMP_FORGOTTEN, _DUMP_ORDERS)


@dataclass(frozen=True, slots=True)
class Selection:
    """Memories that all given fields match."""

    subject: str | None = None
    run: str | None = None
    session: str | None = None
    kind: str | None = None


class MemoryStore:
    """Memories by tenant and id. Every call raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, dsn: str) -> None:
        self.door = Door(dsn)

    async def put(
        self, tenant: str, memories: Sequence[Memory], vectors: Mapping[str, Vector] | None = None, model: str = ""
    ) -> int:
        """Store memories; return how many were new or of a higher version than stored. The rest changes nothing.

        What is forgotten, or covered by a standing order to forget, is not stored.

        `vectors`: by id, of the embedding model `model`; they are left out where the server lacks pgvector.
        """
        if foreign := [each.id for each in memories if each.tenant != tenant]:
            raise TerminalError(f"{len(foreign)} memories belong to another tenant", code="wrong_tenant")
        latest = {each.id: each for each in sorted(memories, key=lambda each: each.version)}
        has_vectors = await self.door.has_vectors()
        async with self.door.of(tenant) as connection:
            await lock(connection, tenant)
            gone = await refused(connection, tenant, list(latest.values()))
            rows = [_row(latest[id]) for id in sorted(latest.keys() - gone)]
            written = await _write(connection, tenant, rows, vectors=has_vectors)
            if vectors and has_vectors:
                await _add_vectors(connection, tenant, model, vectors, {each.id: each.version for each in memories})
        return written

    async def embed(
        self, tenant: str, model: str, vectors: Mapping[str, Vector], versions: Mapping[str, int] | None = None
    ) -> None:
        """Store the vectors of memories by id, replacing those of the same model.

        `versions`: of the memories that were read for it; one that was corrected meanwhile gets no vector.
        """
        if vectors and await self.door.has_vectors():
            async with self.door.of(tenant) as connection:
                await _add_vectors(connection, tenant, model, vectors, versions or {})

    async def tune(self, tenant: str, model: str) -> bool:
        """Build the index of a tenant's vectors once it is worth it; return True if it was built now.

        Minutes for a million vectors; reading and writing continue. Without it every vector of the tenant is read.
        """
        return await self.door.has_vectors() and await build(self.door, tenant, model)

    async def without_vector(self, tenant: str, model: str, most: int = 100) -> list[Memory]:
        """Return the oldest memories that have no vector of this model; none where the server lacks pgvector."""
        if not await self.door.has_vectors():
            return []
        async with self.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_WITHOUT_VECTOR, tenant, model, most)
        return [read(row["document"]) for row in rows]

    async def get(self, tenant: str, ids: Sequence[str]) -> list[Memory]:
        """Return the memories of these ids that the tenant has, in the order of the ids."""
        async with self.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_GET, tenant, valid(ids))
        found = {memory.id: memory for memory in (read(row["document"]) for row in rows)}
        return [found[each] for each in ids if each in found]

    async def select(self, tenant: str, which: Selection, most: int = 100, after: Memory | None = None) -> list[Memory]:
        """Return matching memories, newest first; `after`: the last one of the page before."""
        place = (after.created, after.id) if after else (None, None)
        async with self.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_SELECTED, tenant, *_fields(which), *place, most)
        return [read(row["document"]) for row in rows]

    async def any(self, tenant: str) -> bool:
        """Return True if the tenant has memories; one short read."""
        async with self.door.of(tenant, readonly=True) as connection:
            return bool(await connection.fetchval(_ANY, tenant))

    async def used(self, tenant: str, ids: Sequence[str], at: datetime) -> None:
        """Count an access to each of these memories; their rows and vectors are not rewritten."""
        async with self.door.of(tenant) as connection:
            await connection.execute(_USED, tenant, valid(ids), at)

    async def delete(self, tenant: str, ids: Sequence[str]) -> int:
        """Delete memories with their full-text entries, vectors and uses; return how many there were."""
        async with self.door.of(tenant) as connection:
            return await delete_rows(connection, tenant, ids)

    async def dump(self, tenant: str) -> str:
        """Return all that is derived from the log, in canonical order: equal for a rebuilt store."""
        async with self.door.of(tenant, readonly=True) as connection:
            lines = [row[0] for query in _DUMPED for row in await connection.fetch(query, tenant)]
        return "\n".join(lines)

    async def close(self) -> None:
        """Close the connections."""
        await self.door.close()


def read(document: str) -> Memory:
    """Return the memory of a stored document."""
    return Memory.model_validate_json(document)


def valid(ids: Sequence[str]) -> list[str]:
    """Return those that can be ids; others name no memory."""
    return [each for each in ids if _ID.fullmatch(each)]


def _fields(which: Selection) -> tuple[str | None, ...]:
    return tuple(writable(each) for each in (which.subject, which.run, which.session, which.kind))


def _row(memory: Memory) -> tuple[Any, ...]:
    """Return the columns of a memory, in the order of the table."""
    ends = None if memory.pinned else memory.valid_until
    found = stored_terms(impacts(memory.content))
    place = (memory.subject, memory.run, memory.session, memory.position)
    times = (memory.created, memory.valid_from, ends)
    key = (memory.tenant, memory.id, memory.kind.value, memory.version)
    known = marks(memory.content) + (CANDIDATE if memory.candidate else 0)
    return (*key, *place, *times, memory.importance, known, found, memory.model_dump_json())


async def _write(connection: asyncpg.Connection, tenant: str, rows: list[tuple[Any, ...]], *, vectors: bool) -> int:
    """Insert rows, or replace those of a lower version, whose vectors are out of date; return how many were written."""
    new = await _insert(connection, tenant, rows, _ADD)
    known = {row[1]: row for row in rows if row[1] not in new}
    if not known:
        return len(new)
    stored = await connection.fetch(_LOCKED, tenant, list(known))
    stale = [row for row in stored if row["version"] < known[row["id"].hex][3]]
    if stale:
        await _delete_terms(connection, tenant, stale)
        if vectors:
            await connection.execute(_DELETE_VECTORS, tenant, [row["id"] for row in stale])
        await _insert(connection, tenant, [known[row["id"].hex] for row in stale], _REPLACE)
    return len(new) + len(stale)


async def _insert(connection: asyncpg.Connection, tenant: str, rows: list[tuple[Any, ...]], how: str) -> set[str]:
    """Insert or replace rows with their full-text entries; return the ids of those written."""
    if not rows:
        return set()
    inserted = await connection.fetch(how, *(list(column) for column in zip(*rows, strict=True)))
    new = {row["id"].hex for row in inserted}
    found = [(term, row[1], impact) for row in rows if row[1] in new for term, impact in terms_of(row[13]).items()]
    if found:
        await connection.execute(_ADD_TERMS, tenant, *(list(column) for column in zip(*sorted(found), strict=True)))
    return new


async def delete_rows(connection: asyncpg.Connection, tenant: str, ids: Sequence[str]) -> int:
    """Delete memories with all that belongs to them, in the caller's transaction; return how many there were."""
    rows = await connection.fetch(_LOCKED, tenant, valid(ids))
    await _delete_terms(connection, tenant, rows)
    await connection.execute(_DELETE, tenant, [row["id"] for row in rows])
    return len(rows)


async def _delete_terms(connection: asyncpg.Connection, tenant: str, rows: Sequence[Mapping[str, Any]]) -> None:
    gone = [(term, row["id"]) for row in rows for term in terms_of(row["terms"])]
    await connection.execute(_DELETE_TERMS, tenant, [term for term, _ in gone], [id for _, id in gone])


async def _add_vectors(
    connection: asyncpg.Connection, tenant: str, model: str, vectors: Mapping[str, Vector], versions: Mapping[str, int]
) -> None:
    ids = sorted(vectors)
    found = [literal(vectors[id]) for id in ids], [versions.get(id) for id in ids]
    await connection.execute(_ADD_VECTORS, tenant, model, ids, *found)
