"""Recall: memories of one tenant found by words and by meaning, ranked, without near-duplicates, capped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from schemas.memory import Memory, MemoryKind, Recalled
from shared.memory.candidates import (
    Scope,
    by_meaning,
    by_words,
    candidate,
    rarities,
    rows_near,
    similarities,
)
from shared.memory.query import Query, read_query
from shared.memory.ranking import WIDE, Candidate, Ranked, fuse, is_relevant, rank
from shared.memory.selection import distinct, within
from shared.memory.store import MemoryStore, Vector, read

MOST = 10
"""Memories of a recall."""
TOKENS = 2_000
"""Estimated tokens of a recall: a small share of a model's context."""

_FINAL = """
SELECT m.id, m.document, coalesce(u.count, 0) AS count, u.last_accessed
FROM memories m LEFT JOIN memory_uses u ON u.tenant = m.tenant AND u.id = m.id
WHERE m.tenant = $1 AND m.id = ANY($2::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The vector of a query, and the model that made it."""

    model: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Wanted:
    """Limits of a recall."""

    most: int = MOST
    tokens: int = TOKENS
    kinds: tuple[MemoryKind, ...] = ()
    without_runs: tuple[str, ...] = ()
    """Runs whose memories are left out."""
    least: float = 0.0
    """Share of the text's words, by rarity, that a memory and its neighbours have, unless its meaning is similar."""
    candidates: bool = False
    """With those that wait for a confirmation: for people, and to compare facts."""


async def recall(
    store: MemoryStore,
    tenant: str,
    text: str,
    now: datetime,
    *,
    meaning: Meaning | None = None,
    wanted: Wanted = Wanted(),
) -> list[Recalled]:
    """Return the memories that serve this text, best first. Without `meaning`: by words alone.

    Nothing is written: the caller reports what it used with `MemoryStore.used`.
    """
    if meaning and not await store.door.has_vectors():
        meaning = None
    query = read_query(text)
    kinds = tuple(kind.value for kind in wanted.kinds)
    scope = Scope(tenant, now, kinds, wanted.without_runs, candidates=wanted.candidates)
    async with store.door.of(tenant, readonly=True) as connection:
        ranked = await _ranked(connection, scope, query, meaning, wanted.least)
        best = distinct(ranked, wanted.most)
        found = await connection.fetch(_FINAL, tenant, [each.candidate.id for each in best])
    rows = {row["id"].hex: row for row in found}
    kept = [each for each in best if each.candidate.id in rows]  # without those that were forgotten meanwhile
    return _capped(kept, rows, now, wanted.tokens)


async def _ranked(
    connection: asyncpg.Connection, scope: Scope, query: Query, meaning: Meaning | None, least: float
) -> list[Ranked]:
    known = await rarities(connection, scope.tenant, query.terms)
    lists = {"text": await by_words(connection, scope.tenant, known)}
    if meaning:
        lists["vector"] = await by_meaning(connection, scope.tenant, meaning.model, meaning.vector)
    ids = fuse(lists.values())[:WIDE]
    weights = {term: rare for term, (rare, _) in known.items()}
    rows = await rows_near(connection, scope, ids)
    close: dict[str, float] = {}
    if meaning:
        every = [row["id"].hex for row in rows]
        close = await similarities(connection, scope.tenant, every, meaning.model, meaning.vector)
    found = _candidates(rows, list(weights), lists, close)
    ranked = rank(query, weights, found, scope.now, vectors=meaning is not None)
    return [each for each in ranked if not least or is_relevant(each, query, weights, least)]


def _candidates(
    rows: Sequence[Mapping[str, Any]],
    terms: Sequence[str],
    lists: Mapping[str, Sequence[str]],
    close: Mapping[str, float],
) -> list[Candidate]:
    """Return rows as candidates, with the lists that found them."""
    members = {name: set(ids) for name, ids in lists.items()}
    found = []
    for row in rows:
        id = row["id"].hex
        names = tuple(name for name, ids in members.items() if id in ids)
        found.append(candidate(row, terms, names or ("neighbour",), close.get(id, 0.0)))
    return found


def _capped(
    best: Sequence[Ranked], rows: Mapping[str, Mapping[str, Any]], now: datetime, tokens: int
) -> list[Recalled]:
    found = [_recalled(each, read(rows[each.candidate.id]["document"]), rows[each.candidate.id], now) for each in best]
    return found[: within([each.shown() for each in found], tokens)]


def _recalled(each: Ranked, memory: Memory, row: Mapping[str, Any], now: datetime) -> Recalled:
    age = max(0.0, (now - memory.created).total_seconds())
    uses = {"access_count": row["count"], "last_accessed": row["last_accessed"]}
    found_by = list(each.candidate.found_by)
    return Recalled(memory=memory, score=each.score, found_by=found_by, age_seconds=age, **uses)
