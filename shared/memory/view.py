"""View of the topic `memories` in Postgres, for its one writer: records applied in any order, and what has expired.

A record that comes after a newer one of its key, as when a source is delivered once more, changes nothing here; but it
is then the key's last record, which compaction keeps. So its writer gets the newer one back, to be written once more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.memory import Memory
from schemas.memory_log import ForgettingOrdered
from shared.archive.outages import ArchiveUnavailable
from shared.memory.forgetting import mark, refused, stand
from shared.memory.store import MemoryStore, delete_rows, valid

_VERSIONS = "SELECT id, version FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[])"
_EXPIRED = """
SELECT id FROM memories WHERE tenant = $1 AND valid_until <= $2 AND (kind <> 'semantic' OR created <= $4)
ORDER BY valid_until, id LIMIT $3
"""
_RUNS = "SELECT DISTINCT run FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[]) AND run IS NOT NULL"
_OF_RUN = "SELECT id FROM memories WHERE tenant = $1 AND run = $2 AND created <= $3 ORDER BY id"
_NAMED = """
SELECT run FROM memories WHERE tenant = $1 AND run = ANY($2::text[])
UNION SELECT run FROM memory_turns WHERE tenant = $1 AND run = ANY($2::text[])
"""
_NOTE = "INSERT INTO memory_tenants VALUES ($1) ON CONFLICT DO NOTHING"
_TENANTS = "SELECT tenant FROM memory_tenants ORDER BY tenant"
_FILLED = "SELECT true FROM memory_filled"
_FILL = "INSERT INTO memory_filled VALUES (true, now()) ON CONFLICT (one) DO UPDATE SET at = excluded.at"


class Outcome(StrEnum):
    """Outcome of a record."""

    KEPT = "kept"
    KNOWN = "known"
    """It was stored before."""
    OUTDATED = "outdated"
    """A higher version is stored."""
    REFUSED = "refused"
    """It is forgotten, or a standing order covers it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Outcome of a memory's record."""

    outcome: Outcome
    newer: Memory | None = None
    """The higher version that is stored."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A memory that waits to be stored."""

    memory: Memory
    kept: Kept | None = None


@dataclass(slots=True)
class _Turn:
    """Memories of one tenant that wait while a transaction stores others."""

    waiting: list[_Waiting] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MemoryView:
    """Writer's side of a store. Every call raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._noted: set[str] = set()
        self._turns: dict[str, _Turn] = {}

    async def keep(self, memory: Memory) -> Kept:
        """Store a memory unless a newer record of it was applied before.

        Calls for one tenant that wait for each other share the next transaction.
        """
        turn = self._turns.setdefault(memory.tenant, _Turn())
        mine = _Waiting(memory)
        turn.waiting.append(mine)
        try:
            async with turn.lock:
                if mine.kept is None:
                    await self._keep_waiting(memory.tenant, turn)
        finally:
            if mine in turn.waiting:
                turn.waiting.remove(mine)
        assert mine.kept is not None, "the transaction of its turn has stored it"
        return mine.kept

    async def _keep_waiting(self, tenant: str, turn: "_Turn") -> None:
        """Store the memories that wait. One whose call is cancelled meanwhile has left the list."""
        batch = turn.waiting[:]
        found = await self.keep_all(tenant, [each.memory for each in batch])
        for each, kept in zip(batch, found, strict=True):
            each.kept = kept
        turn.waiting = [each for each in turn.waiting if each.kept is None]

    async def keep_all(self, tenant: str, memories: Sequence[Memory]) -> list[Kept]:
        """Store memories of one tenant in one transaction; return the outcome of each."""
        await self.note(tenant)
        ids = list({each.id for each in memories})
        before = await self._versions(tenant, ids)
        written = await self.store.put(tenant, memories)
        if written == len(memories):
            return [Kept(Outcome.KEPT)] * written
        stored = {each.id: each for each in await self.store.get(tenant, ids)}
        await self._require_refused(tenant, [each for each in memories if each.id not in stored])
        return [_outcome(each, stored.get(each.id), before.get(each.id)) for each in memories]

    async def _require_refused(self, tenant: str, memories: Sequence[Memory]) -> None:
        """Raise ArchiveUnavailable if one of these, which are not stored, is missing for another reason."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            out = await refused(connection, tenant, memories)
        if not out.issuperset(each.id for each in memories):
            raise ArchiveUnavailable("the store of memories was emptied meanwhile")

    async def _versions(self, tenant: str, ids: Sequence[str]) -> dict[str, int]:
        async with self.store.door.of(tenant, readonly=True) as connection:
            return {row["id"].hex: row["version"] for row in await connection.fetch(_VERSIONS, tenant, ids)}

    async def forget(self, tenant: str, gone: Mapping[str, datetime]) -> int:
        """Forget memories for good, by id, each with its time; return how many there were."""
        await self.note(tenant)
        known = {each: gone[each] for each in valid(list(gone))}
        async with self.store.door.of(tenant) as connection:
            await mark(connection, tenant, known)
            return await delete_rows(connection, tenant, list(known))

    async def order(self, order: ForgettingOrdered) -> list[str]:
        """Let an order stand; return the ids of the stored memories that it covers, which are left to be forgotten."""
        await self.note(order.tenant)
        async with self.store.door.of(order.tenant) as connection:
            return await stand(connection, order)

    async def runs_of(self, tenant: str, ids: Sequence[str]) -> list[str]:
        """Return the runs that these memories come from; one that a person made has none."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            return [row["run"] for row in await connection.fetch(_RUNS, tenant, list(ids)) if row["run"]]

    async def of_run(self, tenant: str, run: str, until: datetime) -> list[str]:
        """Return the ids of a run's memories that were created by then."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            return [row["id"].hex for row in await connection.fetch(_OF_RUN, tenant, run, until)]

    async def named(self, tenant: str, runs: Sequence[str]) -> set[str]:
        """Return those runs of which there is a memory or a turn, and so a record on the topic."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            return {row["run"] for row in await connection.fetch(_NAMED, tenant, list(runs))}

    async def missing(self, tenant: str, memories: Sequence[Memory]) -> list[Memory]:
        """Return those memories of a tenant that are neither stored nor refused."""
        if not memories:
            return []
        known = await self._versions(tenant, [each.id for each in memories])
        async with self.store.door.of(tenant, readonly=True) as connection:
            out = await refused(connection, tenant, memories) | known.keys()
        return [each for each in memories if each.id not in out]

    async def expired(self, tenant: str, now: datetime, most: int, facts_before: datetime | None) -> list[str]:
        """Return ids of memories that are no longer valid, those first that ended first.

        `facts_before`: facts created later are left out, as one that another has replaced keeps its text; None: all.
        """
        async with self.store.door.of(tenant, readonly=True) as connection:
            return [row["id"].hex for row in await connection.fetch(_EXPIRED, tenant, now, most, facts_before)]

    async def tenants(self) -> list[str]:
        """Return all tenants that have had memories."""
        async with self.store.door.owner() as connection:
            return [row["tenant"] for row in await connection.fetch(_TENANTS)]

    async def is_filled(self) -> bool:
        """Return False for a store that was not filled from the topic since it was created or emptied."""
        async with self.store.door.owner() as connection:
            filled = bool(await connection.fetchval(_FILLED))
        if not filled:
            self._noted.clear()
        return filled

    async def mark_filled(self) -> None:
        """Mark the store as filled from the topic."""
        async with self.store.door.owner() as connection:
            await connection.execute(_FILL)

    async def request_fill(self) -> None:
        """Have the running service fill the store again."""
        async with self.store.door.owner() as connection:
            await connection.execute("DELETE FROM memory_filled")

    async def note(self, tenant: str) -> None:
        """Remember the name of a tenant: rows of a tenant that is not named are found by no statement."""
        if tenant not in self._noted:
            async with self.store.door.owner() as connection:
                await connection.execute(_NOTE, tenant)
            self._noted.add(tenant)


def _outcome(memory: Memory, stored: Memory | None, before: int | None) -> Kept:
    """Return the outcome of a memory by what is stored afterwards, and the version that was stored before."""
    if stored is None:
        return Kept(Outcome.REFUSED)
    if stored.version > memory.version:
        return Kept(Outcome.OUTDATED, stored)
    return Kept(Outcome.KNOWN if before == memory.version else Outcome.KEPT)
