"""Memories as people look at them: listed by filters, newest first, with their uses, and counted before a forget."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.memory import Memory, MemoryKind, writable
from shared.memory.marks import CANDIDATE
from shared.memory.query import LONGEST_QUERY, MOST_QUERY_TERMS
from shared.memory.store import MemoryStore, Selection, read, valid
from shared.memory.terms import query_terms

_USES = "LEFT JOIN memory_uses u ON u.tenant = m.tenant AND u.id = m.id"
_ABOUT = """
m.tenant = $1 AND ($2::text IS NULL OR m.subject = $2) AND ($3::text IS NULL OR m.run = $3)
AND ($4::text IS NULL OR m.session = $4) AND ($5::text IS NULL OR m.kind = $5)
"""
_LISTED = f"""
SELECT m.document, coalesce(u.count, 0) AS count, u.last_accessed FROM memories m {_USES}
WHERE {_ABOUT}
AND ($6::boolean IS NULL OR m.tainted = $6) AND ($7::boolean IS NULL OR (m.marks & {CANDIDATE} <> 0) = $7)
AND ($8::boolean IS NULL OR m.pinned = $8)
AND (cardinality($9::text[]) = 0 OR m.id IN (
    SELECT t.id FROM memory_terms t WHERE t.tenant = $1 AND t.term = ANY($9)
    GROUP BY t.id HAVING count(*) = cardinality($9)
))
AND ($10::timestamptz IS NULL OR (m.created, m.id) < ($10, $11::uuid))
ORDER BY m.created DESC, m.id DESC LIMIT $12
"""  # noqa: S608 -- the names of our own columns
_SHOWN = f"""
SELECT m.document, coalesce(u.count, 0) AS count, u.last_accessed FROM memories m {_USES}
WHERE m.tenant = $1 AND m.id = ANY($2::uuid[])
"""  # noqa: S608 -- the same
_COUNTED = f"""
SELECT count(*) AS memories, count(*) FILTER (WHERE m.marks & {CANDIDATE} <> 0) AS candidates
FROM memories m WHERE {_ABOUT} AND ($6::timestamptz IS NULL OR m.created <= $6)
"""  # noqa: S608 -- the same
_ANY = "SELECT EXISTS (SELECT FROM memories WHERE tenant = $1)"
_RUNS = f"""
SELECT DISTINCT m.run FROM memories m WHERE {_ABOUT} AND m.run <> '' ORDER BY m.run LIMIT $6
"""  # noqa: S608 -- the same


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions of a list, which all hold. `text`: all its words are in the memory."""

    about: Selection = field(default_factory=Selection)
    tainted: bool | None = None
    candidate: bool | None = None
    pinned: bool | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A memory with its uses."""

    memory: Memory
    uses: int
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a memory in a list."""

    created: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Memories that a selection has, and the runs that they come from."""

    memories: int
    candidates: int
    runs: list[str]


async def list_memories(
    store: MemoryStore, tenant: str, wanted: Filters, most: int, after: Place | None = None
) -> list[Listed]:
    """Return matching memories, newest first; `after`: place of the last one of the page before."""
    terms = list(query_terms(wanted.text[:LONGEST_QUERY])[:MOST_QUERY_TERMS])
    marks = (wanted.tainted, wanted.candidate, wanted.pinned)
    place = (after.created, after.id) if after else (None, None)
    async with store.door.of(tenant, readonly=True) as connection:
        rows = await connection.fetch(_LISTED, tenant, *_fields(wanted.about), *marks, terms, *place, most)
    return [Listed(read(row["document"]), row["count"], row["last_accessed"]) for row in rows]


async def is_empty(store: MemoryStore, tenant: str) -> bool:
    """Return True if the tenant has no memory."""
    async with store.door.of(tenant, readonly=True) as connection:
        return not await connection.fetchval(_ANY, tenant)


async def show_memory(store: MemoryStore, tenant: str, id: str) -> Listed | None:
    """Return a memory with its uses; None if the tenant has none of this id."""
    async with store.door.of(tenant, readonly=True) as connection:
        rows = await connection.fetch(_SHOWN, tenant, valid([id]))
    return Listed(read(rows[0]["document"]), rows[0]["count"], rows[0]["last_accessed"]) if rows else None


async def reach_of(
    store: MemoryStore, tenant: str, about: Selection, most_runs: int, until: datetime | None = None
) -> Reach:
    """Count the memories of a selection, created `until` then; return the runs of all, at most so many."""
    async with store.door.of(tenant, readonly=True) as connection:
        [counted] = await connection.fetch(_COUNTED, tenant, *_fields(about), until)
        runs = await connection.fetch(_RUNS, tenant, *_fields(about), most_runs)
    return Reach(counted["memories"], counted["candidates"], [row["run"] for row in runs])


def _fields(about: Selection) -> Sequence[str | None]:
    kind = about.kind.value if isinstance(about.kind, MemoryKind) else about.kind
    return tuple(writable(each) for each in (about.subject, about.run, about.session, kind))
