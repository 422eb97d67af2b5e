"""View of the topic `memories` in Postgres, for its one writer: records applied in any order, and what has expired.

A record that comes after a newer one of its key, as when a source is delivered once more, changes nothing here; but it
is then the key's last record, which compaction keeps. So its writer gets the newer one back, to be written once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.memory import Memory
from schemas.memory_log import ForgettingOrdered
from shared.memory.forgetting import mark, refused, stand
from shared.memory.store import MemoryStore, delete_rows, read, valid

_VERSIONS = "SELECT id, version FROM memories WHERE tenant = $1 AND id = ANY($2::uuid[])"
_GET = "SELECT document FROM memories WHERE tenant = $1 AND id = $2::uuid"
_EXPIRED = """
SELECT id FROM memories WHERE tenant = $1 AND valid_until <= $2 ORDER BY valid_until, id LIMIT $3
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


class MemoryView:
    """Writer's side of a store. Every call raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._noted: set[str] = set()

    async def keep(self, memory: Memory) -> Kept:
        """Store a memory unless a newer record of it was applied before."""
        await self._note(memory.tenant)
        if await self.store.put(memory.tenant, [memory]):
            return Kept(Outcome.KEPT)
        async with self.store.door.of(memory.tenant, readonly=True) as connection:
            document = await connection.fetchval(_GET, memory.tenant, memory.id)
        if document is None:
            return Kept(Outcome.REFUSED)
        stored = read(document)
        newer = stored.version > memory.version
        return Kept(Outcome.OUTDATED, stored) if newer else Kept(Outcome.KNOWN)

    async def forget(self, tenant: str, gone: Mapping[str, datetime]) -> int:
        """Forget memories for good, by id, each with its time; return how many there were."""
        await self._note(tenant)
        known = {each: gone[each] for each in valid(list(gone))}
        async with self.store.door.of(tenant) as connection:
            await mark(connection, tenant, known)
            return await delete_rows(connection, tenant, list(known))

    async def order(self, order: ForgettingOrdered) -> list[str]:
        """Let an order stand; return the ids of the stored memories that it covers, which are left to be forgotten."""
        await self._note(order.tenant)
        async with self.store.door.of(order.tenant) as connection:
            return await stand(connection, order)

    async def missing(self, tenant: str, memories: Sequence[Memory]) -> list[Memory]:
        """Return those memories of a tenant that are neither stored nor refused."""
        if not memories:
            return []
        async with self.store.door.of(tenant, readonly=True) as connection:
            rows = await connection.fetch(_VERSIONS, tenant, [each.id for each in memories])
            out = await refused(connection, tenant, memories) | {row["id"].hex for row in rows}
        return [each for each in memories if each.id not in out]

    async def expired(self, tenant: str, now: datetime, most: int) -> list[str]:
        """Return ids of memories that are no longer valid, those first that ended first."""
        async with self.store.door.of(tenant, readonly=True) as connection:
            return [row["id"].hex for row in await connection.fetch(_EXPIRED, tenant, now, most)]

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

    async def _note(self, tenant: str) -> None:
        """Remember the name of a tenant: rows of a tenant that is not named are found by no statement."""
        if tenant not in self._noted:
            async with self.store.door.owner() as connection:
                await connection.execute(_NOTE, tenant)
            self._noted.add(tenant)
