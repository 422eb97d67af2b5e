"""Candidates of a query, found in Postgres: by words, by meaning, and next to those in their sessions.

The full-text entries are a table in the order of tenant, term and id. Ids are hashes, so the first entries of a term
are a fair sample of them: its frequency is known from a short read, exactly for rare terms. Rare terms are read whole;
frequent ones only rank what the rare ones found. Where every term is frequent, all are read up to the same id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from shared.memory.index import literal
from shared.memory.marks import CANDIDATE
from shared.memory.ranking import AFTER, BEFORE, WIDE, Candidate, rarity
from shared.memory.store import Vector

PROBE = 256
"""Entries of a term that are read for its frequency; the error of an estimate is about 6 %."""
NEIGHBOURS_OF = 100
"""Best candidates whose neighbours are read as well; for 200, recall @50 is 0.008 higher and takes a third longer."""
ENTRIES = 6_000
"""Entries read for one query."""

_PROBED = """
SELECT q.term, f.n, f.last FROM unnest($2::text[]) q(term), LATERAL (
    SELECT count(*) AS n, (array_agg(id ORDER BY id DESC))[1] AS last
    FROM (SELECT id FROM memory_terms WHERE tenant = $1 AND term = q.term ORDER BY id LIMIT $3) first
) f
UNION ALL SELECT '', count(*), (array_agg(id ORDER BY id DESC))[1]
FROM (SELECT id FROM memories WHERE tenant = $1 ORDER BY id LIMIT $3) first
"""
_BY_WORDS = """
SELECT id FROM unnest($2::text[], $3::float8[]) q(term, rarity), LATERAL (
    SELECT id, impact FROM memory_terms WHERE tenant = $1 AND term = q.term ORDER BY id LIMIT $4
) found GROUP BY id ORDER BY sum(impact * rarity) DESC, id LIMIT $5
"""
_BY_MEANING = """
SELECT id FROM memory_vectors WHERE tenant = $1 AND model = $2 AND vector_dims(embedding) = $4
ORDER BY embedding::vector({size}) <=> $3::text::vector({size}) LIMIT $5
"""
_COLUMNS = "id, session, position, subject, created, importance, marks, terms"
_NEAR = f"""
WITH hits AS MATERIALIZED (
    SELECT id, session, position - $5 AS first, position + $6 AS last
    FROM memories WHERE tenant = $1 AND id = ANY($7::uuid[])
), wanted AS (
    SELECT unnest($2::uuid[]) AS id
    UNION SELECT m.id FROM hits JOIN memories m ON m.tenant = $1 AND m.session = hits.session AND m.session <> ''
    AND m.position BETWEEN hits.first AND hits.last
)
SELECT {_COLUMNS} FROM memories JOIN wanted USING (id) WHERE tenant = $1
AND (cardinality($3::text[]) = 0 OR kind = ANY($3)) AND (valid_from IS NULL OR valid_from <= $4)
AND (valid_until IS NULL OR valid_until > $4) AND run <> ALL($8) AND (marks & {CANDIDATE} = 0 OR $9)
"""  # noqa: S608 -- the names of our own columns
_SIMILAR = """
SELECT id, 1 - (embedding <=> $4::text::vector) AS similarity FROM memory_vectors
WHERE tenant = $1 AND id = ANY($2::uuid[]) AND model = $3 AND vector_dims(embedding) = $5
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """Limits of a search."""

    tenant: str
    now: datetime
    kinds: tuple[str, ...] = ()
    without_runs: tuple[str, ...] = ()
    candidates: bool = False
    """With those that wait for a confirmation."""


async def rarities(connection: asyncpg.Connection, tenant: str, terms: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return rarity and estimated number of entries of each term that the tenant's memories have."""
    rows = {row["term"]: row for row in await connection.fetch(_PROBED, tenant, list(terms), PROBE)}
    documents = _estimated(rows.pop(""))
    counts = {term: _estimated(row) for term, row in rows.items() if row["n"]}
    return {term: (rarity(documents, counts[term]), counts[term]) for term in terms if term in counts}


def _estimated(row: Mapping[str, Any]) -> float:
    """Return a number of entries: counted, or computed from the share of all ids that the first of them take."""
    return float(row["n"]) if row["n"] < PROBE else (PROBE - 1) / (max(row["last"].int, 1) / 2**128)


async def by_words(connection: asyncpg.Connection, tenant: str, known: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return ids of memories with the rarest words of a query, best first."""
    read = essential({term: count for term, (_, count) in known.items()})
    limit = ENTRIES // max(len(read), 1) if len(read) > 1 and known[read[0]][1] > ENTRIES else ENTRIES
    weights = [known[term][0] for term in read]
    rows = await connection.fetch(_BY_WORDS, tenant, read, weights, limit, WIDE)
    return [row["id"].hex for row in rows]


def essential(counts: Mapping[str, float]) -> list[str]:
    """Return the terms to read, rarest first: as many as fit; all of them if not even the rarest fits."""
    order = sorted(counts, key=lambda term: (counts[term], term))
    if not order or counts[order[0]] > ENTRIES:
        return order
    taken, total = [], 0.0
    for term in order:
        total += counts[term]
        if total > ENTRIES:
            break
        taken.append(term)
    return taken


async def by_meaning(connection: asyncpg.Connection, tenant: str, model: str, vector: Vector) -> list[str]:
    """Return ids of the memories with the most similar vectors of the same model."""
    size = len(vector)
    await connection.execute(f"SET LOCAL hnsw.ef_search = {WIDE}; SET LOCAL hnsw.iterative_scan = strict_order")
    query = _BY_MEANING.format(size=size)
    rows = await connection.fetch(query, tenant, model, literal(vector), size, WIDE)
    return [row["id"].hex for row in rows]


async def rows_near(connection: asyncpg.Connection, scope: Scope, ids: Sequence[str]) -> list[Any]:
    """Return rows of these memories and of their neighbours, without those that do not count now."""
    return list(
        await connection.fetch(
            _NEAR,
            scope.tenant,
            list(ids),
            list(scope.kinds),
            scope.now,
            BEFORE,
            AFTER + 1,
            ids[:NEIGHBOURS_OF],
            list(scope.without_runs),
            scope.candidates,
        )
    )


async def similarities(
    connection: asyncpg.Connection, tenant: str, ids: Sequence[str], model: str, vector: Vector
) -> dict[str, float]:
    """Return the cosine of each of these memories that has a vector of this model."""
    rows = await connection.fetch(_SIMILAR, tenant, list(ids), model, literal(vector), len(vector))
    return {row["id"].hex: row["similarity"] for row in rows}


def candidate(
    row: Mapping[str, Any], terms: Sequence[str], found_by: tuple[str, ...], similarity: float = 0.0
) -> Candidate:
    """Return a row as a candidate, with those of these terms that it has."""
    stored = row["terms"]
    return Candidate(
        row["id"].hex,
        row["session"],
        row["position"],
        row["subject"],
        row["created"],
        row["importance"],
        row["marks"],
        matches(stored, terms),
        stored.count("="),
        stored,
        similarity,
        found_by,
    )


def matches(stored: str, terms: Sequence[str]) -> dict[str, int]:
    """Return the impacts of those of these terms that are stored, without reading the others."""
    text = f" {stored} "
    found = {}
    for term in terms:
        at = text.find(f" {term}=")
        if at >= 0:
            start = at + len(term) + 2
            found[term] = int(text[start : text.index(" ", start)])
    return found
