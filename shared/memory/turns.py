"""Turns that wait for their facts to be extracted: a view of the topic `memories` in Postgres, for its one writer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from schemas.memory import MemoryKind, memory_id
from schemas.memory_log import ForgettingOrdered, TurnNoted, hidden, hidden_subject
from shared.memory.forgetting import lock
from shared.memory.store import MemoryStore

FORGOTTEN = "forgotten"
"""Outcome of a turn that an order covers."""

MOST_MEMORIES = 60
"""Memories of one turn."""

_DERIVED = (MemoryKind.EPISODIC, MemoryKind.PROCEDURAL)

MOST_BATCHES = 20
"""Batches of a tenant in one look."""

LONGEST_SUBJECT = 6
"""Words of a subject that is found in the words of a turn."""

_AROUND = ".,;:!?()[]\"'"
"""Characters around a word that are not part of it."""

_PUT = """
INSERT INTO memory_turns (tenant, run, session, started, ended, done, document) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant, run) DO UPDATE
SET session = excluded.session, ended = excluded.ended, done = excluded.done, document = excluded.document
WHERE excluded.ended > memory_turns.ended
OR (excluded.ended = memory_turns.ended AND excluded.done AND NOT memory_turns.done)
RETURNING run
"""
_GET = "SELECT document FROM memory_turns WHERE tenant = $1 AND run = $2"
_KNOWN = "SELECT true FROM memory_turns WHERE tenant = $1 AND run = $2 AND ended >= $3"
_COVERED = """
SELECT o.subject FROM memory_orders o WHERE o.tenant = $1 AND (o.run IS NULL OR o.run = $2)
AND (o.session IS NULL OR o.session = $3) AND $4 <= o.at
"""
_CHOSEN = """
SELECT t.document, o.subject FROM memory_turns t JOIN memory_orders o ON o.tenant = $1 AND o.key = $2
WHERE t.tenant = $1 AND NOT t.done AND (o.run IS NULL OR o.run = t.run) AND (o.session IS NULL
OR o.session = 'sha256:' || encode(sha256(convert_to(t.session, 'UTF8')), 'hex')) AND t.started <= o.at ORDER BY t.run
"""
_DROP = """
DELETE FROM memory_turns t USING memory_orders o WHERE o.tenant = $1 AND o.key = $2 AND t.tenant = $1 AND t.done
AND o.subject IS NULL AND (o.run IS NULL OR o.run = t.run) AND (o.session IS NULL
OR o.session = 'sha256:' || encode(sha256(convert_to(t.session, 'UTF8')), 'hex')) AND t.started <= o.at
"""
"""Turns without words still name their session."""

_WAITING_OF_RUN = "SELECT document FROM memory_turns WHERE tenant = $1 AND run = $2 AND NOT done"
_DROP_RUN = "DELETE FROM memory_turns WHERE tenant = $1 AND run = $2 AND done"
_FORGOTTEN = "SELECT true FROM memory_forgotten WHERE tenant = $1 AND id = ANY($2::uuid[]) LIMIT 1"
"""A memory of the turn was forgotten before the turn was noted."""

_DUE = """
SELECT session FROM memory_turns WHERE tenant = $1 AND NOT done AND run <> ALL($5::text[]) GROUP BY session
HAVING count(*) >= $2 OR max(ended) <= $3 ORDER BY min(ended) LIMIT $4
"""
_BATCH = """
SELECT document FROM memory_turns WHERE tenant = $1 AND session = $2 AND NOT done AND run <> ALL($4::text[])
ORDER BY ended, run LIMIT $3
"""
_ENDED = "SELECT run FROM memory_turns WHERE tenant = $1 AND done AND ended < $2 ORDER BY ended, run LIMIT $3"
_REMOVE = "DELETE FROM memory_turns WHERE tenant = $1 AND done AND run = ANY($2::text[])"
_WAITING = "SELECT count(*) FROM memory_turns WHERE tenant = $1 AND NOT done"


@dataclass(frozen=True, slots=True)
class WaitingTurns:
    """Turns by tenant and run. Every call raises ArchiveUnavailable while Postgres does not answer."""

    store: MemoryStore

    async def note(self, turn: TurnNoted, now: datetime) -> TurnNoted | None:
        """Apply a record of a turn; return the record to write in its place, if it must not be the key's last one.

        That is the newer one that was applied before, or one without words if an order to forget covers the turn.
        """
        async with self.store.door.of(turn.tenant) as connection:
            await lock(connection, turn.tenant)
            if turn.done is None and await _is_covered(connection, turn):
                turn = turn.done_at(now, FORGOTTEN)
                await connection.fetchval(_PUT, *_row(turn))
                return turn
            if await connection.fetchval(_PUT, *_row(turn)):
                return None
            stored = TurnNoted.model_validate_json(await connection.fetchval(_GET, turn.tenant, turn.run_id))
        return stored if (stored.ended, stored.done is not None) > (turn.ended, turn.done is not None) else None

    async def is_known(self, turn: TurnNoted) -> bool:
        """Return True if this end of the run, or a later one, was applied before."""
        async with self.store.door.of(turn.tenant, readonly=True) as connection:
            return bool(await connection.fetchval(_KNOWN, turn.tenant, turn.run_id, turn.ended))

    async def forget(self, order: ForgettingOrdered, now: datetime) -> list[TurnNoted]:
        """Return the records, without words, of the waiting turns that a standing order covers."""
        async with self.store.door.of(order.tenant) as connection:
            rows = await connection.fetch(_CHOSEN, order.tenant, order.key)
            await connection.execute(_DROP, order.tenant, order.key)
        turns = [(TurnNoted.model_validate_json(row["document"]), row["subject"]) for row in rows]
        return [_without_words(turn, now) for turn, subject in turns if subject is None or _mentions(turn, subject)]

    async def forget_run(self, tenant: str, run: str, now: datetime) -> list[TurnNoted]:
        """Return the records, without words, of the waiting turn of a run; one that is done is removed."""
        async with self.store.door.of(tenant) as connection:
            document = await connection.fetchval(_WAITING_OF_RUN, tenant, run)
            await connection.execute(_DROP_RUN, tenant, run)
        return [_without_words(TurnNoted.model_validate_json(document), now)] if document else []

    async def end(self, tenant: str, run: str, now: datetime) -> list[TurnNoted]:
        """Return the record, without words, of the waiting turn of a run."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            document = await connection.fetchval(_WAITING_OF_RUN, tenant, run)
        return [_without_words(TurnNoted.model_validate_json(document), now)] if document else []

    async def due(self, tenant: str, now: datetime, size: int, idle: float, without: Sequence[str] = ()) -> list[str]:
        """Return the sessions with a whole batch, or without a turn for `idle` seconds; the longest waiting first.

        `without`: runs whose turns are left out.
        """
        since = now - timedelta(seconds=idle)
        async with self.store.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_DUE, tenant, size, since, MOST_BATCHES, list(without))
        return [row["session"] for row in rows]

    async def batch(self, tenant: str, session: str, size: int, without: Sequence[str] = ()) -> list[TurnNoted]:
        """Return the oldest waiting turns of a session, without those of some runs."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_BATCH, tenant, session, size, list(without))
        return [TurnNoted.model_validate_json(row["document"]) for row in rows]

    async def ended(self, tenant: str, before: datetime, most: int) -> list[str]:
        """Return the runs of turns that are done and had ended before."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            return [row["run"] for row in await connection.fetch(_ENDED, tenant, before, most)]

    async def remove(self, tenant: str, runs: Sequence[str]) -> None:
        """Remove the rows of turns that are done."""
        async with self.store.door.of(tenant) as connection:
            await connection.execute(_REMOVE, tenant, list(runs))

    async def waiting(self, tenants: Sequence[str]) -> int:
        """Return the number of turns that wait."""
        total = 0
        for tenant in tenants:
            async with self.store.door.of(tenant, readonly=True) as connection:
                total += await connection.fetchval(_WAITING, tenant)
        return total


async def _is_covered(connection: asyncpg.Connection, turn: TurnNoted) -> bool:
    place = (turn.tenant, turn.run_id, hidden(turn.session))
    subjects = [row["subject"] for row in await connection.fetch(_COVERED, *place, turn.started)]
    if any(each is None or _mentions(turn, each) for each in subjects):
        return True
    return bool(await connection.fetchval(_FORGOTTEN, turn.tenant, _memories_of(turn)))


def _memories_of(turn: TurnNoted) -> list[str]:
    """Return the ids that memories of the turn have, however many there are."""
    sources = [turn.source.model_copy(update={"item": item}) for item in range(MOST_MEMORIES)]
    return [memory_id(turn.tenant, kind, [source]) for kind in _DERIVED for source in sources]


def _without_words(turn: TurnNoted, now: datetime) -> TurnNoted:
    return turn.done_at(now, FORGOTTEN).model_copy(update={"session": ""})


def _mentions(turn: TurnNoted, subject: str) -> bool:
    """Return True if some words of the turn are the subject of an order, which names it by its digest."""
    said = " ".join([turn.asked, turn.answer, turn.caller, turn.session, *(each.words for each in turn.said)])
    words = [each.strip(_AROUND) for each in said.split()]
    spans = (" ".join(words[at : at + size]) for size in range(1, LONGEST_SUBJECT + 1) for at in range(len(words)))
    return any(hidden_subject(each) == subject for each in spans)


def _row(turn: TurnNoted) -> tuple[object, ...]:
    key = (turn.tenant, turn.run_id, turn.session)
    return (*key, turn.started, turn.ended, turn.done is not None, turn.model_dump_json())
