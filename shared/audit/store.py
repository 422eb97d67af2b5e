"""Writing the record: rows of many log records in one transaction of each tenant, each once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from shared.audit.connection import Door
from shared.audit.contents import Contents, Packed
from shared.audit.row import COLUMNS, START, Draft, Place, Row, chained, columns_of, row_of
from shared.audit.tables import WRITER, month_of

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('waggle.audit/' || $1, 0))"
_HEAD = """
SELECT number, hash FROM (
    (SELECT number, hash FROM audit_records WHERE tenant = $1 ORDER BY number DESC LIMIT 1)
    UNION ALL (SELECT last, after FROM audit_anchors WHERE tenant = $1 ORDER BY last DESC LIMIT 1)
) heads ORDER BY number DESC LIMIT 1
"""
_KNOWN = """
SELECT r.topic, r.part, r.at_offset FROM unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[]) p(t, n, o, at)
JOIN audit_records r ON r.topic = p.t AND r.part = p.n AND r.at_offset = p.o AND r.ordinal = 0 AND r.at = p.at
WHERE r.tenant = $1
"""
_TYPES = {"number": "bigint", "at": "timestamptz", "tokens_in": "bigint", "tokens_out": "bigint"} | {
    "cost": "float8", "seconds": "float8", "part": "int", "at_offset": "bigint", "ordinal": "int"
} | {"previous": "bytea", "hash": "bytea"}  # fmt: skip
_ARRAYS = ", ".join(f"${place}::{_TYPES.get(name, 'text')}[]" for place, name in enumerate(COLUMNS, 1))
_ADD = f"INSERT INTO audit_records ({', '.join(COLUMNS)}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608 -- our columns
_ADD_CONTENTS = """
INSERT INTO audit_contents (tenant, number, at, run_id, content)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bytea[])
"""
_NOTE = "INSERT INTO audit_tenants VALUES ($1) ON CONFLICT DO NOTHING"
_HOLDING = "SELECT DISTINCT run_id FROM audit_contents WHERE tenant = $1 AND run_id <> '' AND run_id = ANY($2::text[])"
_TENANTS = "SELECT tenant FROM audit_tenants ORDER BY tenant"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Drafts that a record of the log says, all of one tenant."""

    place: Place
    drafts: Sequence[Draft]

    @property
    def tenant(self) -> str:
        """The tenant whose chain the rows join."""
        return self.drafts[0].tenant


@dataclass(slots=True)
class AuditStore:
    """The record in Postgres. Every call raises ArchiveUnavailable while Postgres does not answer."""

    dsn: str
    seals: bool = False
    door: Door = field(init=False)
    contents: Contents = field(init=False)
    _noted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Connect at the first use."""
        self.door = Door(self.dsn)
        self.contents = Contents(self.dsn, seals=self.seals)

    async def append(self, records: Sequence[Recorded]) -> int:
        """Add the rows of log records that it does not have yet; return how many rows were added."""
        await self.door.have_months({month_of(each.at) for record in records for each in record.drafts})
        added = 0
        for tenant in sorted({each.tenant for each in records}):
            added += await self._append(tenant, [each for each in records if each.tenant == tenant])
        return added

    async def tenants(self) -> list[str]:
        """Return all tenants that have rows, and the chain of the system."""
        async with self.door.owner() as connection:
            return [row["tenant"] for row in await connection.fetch(_TENANTS)]

    async def holding(self, tenant: str, runs: Sequence[str]) -> set[str]:
        """Return those of these runs of which it has contents: their keys are needed."""
        async with self.door.of(tenant) as connection:
            return {row["run_id"] for row in await connection.fetch(_HOLDING, tenant, list(runs))}

    async def close(self) -> None:
        """Close the connections."""
        await self.door.close()
        await self.contents.close()

    async def _append(self, tenant: str, records: Sequence[Recorded]) -> int:
        await self._note(tenant)
        drafts = [each for record in records for each in record.drafts]
        packed = dict(zip(map(id, drafts), await self.contents.packed(drafts), strict=True))
        async with self.door.of(tenant, WRITER) as connection:
            await connection.execute(LOCK, tenant)
            known = await _known(connection, tenant, records)
            new = {each.place: each for each in records if each.place not in known}
            pairs = [
                (row_of(draft, record.place, ordinal, found.digest if found else ""), found)
                for record in new.values()
                for ordinal, draft in enumerate(record.drafts)
                for found in [packed[id(draft)]]
            ]
            head = await connection.fetchrow(_HEAD, tenant)
            rows = list(chained((row for row, _ in pairs), *(head or (0, START))))
            await _write(connection, rows, [found for _, found in pairs])
        return len(rows)

    async def _note(self, tenant: str) -> None:
        """Remember the name of a tenant: rows of a tenant that is not named are found by no statement."""
        if tenant not in self._noted:
            async with self.door.owner() as connection:
                await connection.execute(_NOTE, tenant)
            self._noted.add(tenant)


async def _known(connection: asyncpg.Connection, tenant: str, records: Sequence[Recorded]) -> set[Place]:
    """Return the places whose rows are stored. The time is compared, too: a log that was recreated counts from 0."""
    asked = [[each.place.topic for each in records], [each.place.partition for each in records]]
    times = [[each.place.offset for each in records], [each.drafts[0].at for each in records]]
    return {Place(*row) for row in await connection.fetch(_KNOWN, tenant, *asked, *times)}


async def _write(connection: asyncpg.Connection, rows: Sequence[Row], packed: Sequence[Packed | None]) -> None:
    if not rows:
        return
    await connection.execute(_ADD, *columns_of(rows))
    stored = [(row, found) for row, found in zip(rows, packed, strict=True) if found is not None]
    if stored:
        keys = [[getattr(row, name) for row, _ in stored] for name in ("tenant", "number", "at", "run_id")]
        await connection.execute(_ADD_CONTENTS, *keys, [found.content for _, found in stored])


@dataclass(slots=True, eq=False)
class _Waiting:
    """A record that waits to be written."""

    record: Recorded
    done: bool = False


@dataclass(slots=True)
class GroupCommit:
    """Gathers records that come while others are written, and writes them together."""

    store: AuditStore
    _waiting: list[_Waiting] = field(default_factory=list)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, record: Recorded) -> None:
        """Return when the record's rows are stored. Raises ArchiveUnavailable, and what Postgres says against it."""
        mine = _Waiting(record)
        self._waiting.append(mine)
        try:
            async with self._writing:
                if not mine.done:
                    await self._write(mine)
        finally:
            self._waiting = [each for each in self._waiting if each is not mine]

    async def _write(self, mine: _Waiting) -> None:
        """Write all that waits; one record alone if Postgres refuses them together."""
        batch = list(self._waiting)
        try:
            await self.store.append([each.record for each in batch])
        except asyncpg.PostgresError:
            batch = [mine]
            await self.store.append([mine.record])
        for each in batch:
            each.done = True
