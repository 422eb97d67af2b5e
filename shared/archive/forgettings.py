"""Forgettings in Postgres: each order with its report, from which an interrupted one is resumed."""

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from schemas.forgetting import Forgetting
from schemas.memory_log import ForgettingOrdered
from shared.archive.outages import LACKING, ArchiveUnavailable, mapped

_SCHEMA = """
CREATE TABLE IF NOT EXISTS forgettings (
    id      text        NOT NULL PRIMARY KEY,
    tenant  text        NOT NULL,
    ordered timestamptz NOT NULL,
    state   text        NOT NULL,
    report  text        NOT NULL,
    wanted  text,
    runs    text[]      NOT NULL DEFAULT '{}',
    files   text[]
)
"""
_SCHEMA_LOCK = 0x3A68

_BEGIN = """
INSERT INTO forgettings (id, tenant, ordered, state, report, wanted, runs) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING
"""
_OPEN = "SELECT id, report, wanted, runs, files FROM forgettings WHERE state <> 'done' ORDER BY ordered, id"
_SAVE = """
UPDATE forgettings SET state = $2, report = $3, files = $4, wanted = CASE WHEN $2 = 'done' THEN NULL ELSE wanted END
WHERE id = $1
"""
_IDS = "SELECT id FROM forgettings"
_DONE = "SELECT report FROM forgettings WHERE state = 'done'"
_LIST = "SELECT report FROM forgettings WHERE tenant = $1 ORDER BY ordered DESC, id LIMIT $2"
_GET = "SELECT report FROM forgettings WHERE tenant = $1 AND id = $2"


class Open(NamedTuple):
    """A forgetting that is not done."""

    report: Forgetting
    order: ForgettingOrdered
    runs: Sequence[str]
    """Runs that were known when it was ordered."""
    files: Sequence[str] | None
    """Files to remove; None until they are found."""


class Forgettings:
    """Orders and reports. Every call raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._prepared = False

    async def begin(self, report: Forgetting, order: ForgettingOrdered, runs: Sequence[str]) -> None:
        """Record an order, once: a repetition changes nothing. The text of the order is kept until it is done."""
        shown, wanted = report.model_dump_json(), order.model_dump_json()
        await self._execute(_BEGIN, report.id, report.tenant, report.ordered, report.state, shown, wanted, list(runs))

    async def open(self) -> list[Open]:
        """Return the forgettings that are not done, the oldest first."""
        rows = await self._fetch(_OPEN)
        return [
            Open(
                Forgetting.model_validate_json(row["report"]),
                ForgettingOrdered.model_validate_json(row["wanted"]),
                row["runs"],
                row["files"],
            )
            for row in rows
        ]

    async def save(self, report: Forgetting, files: Sequence[str] | None) -> None:
        """Store how far a forgetting was carried out."""
        given = None if files is None else list(files)
        await self._execute(_SAVE, report.id, report.state, report.model_dump_json(), given)

    async def list(self, tenant: str, limit: int) -> list[Forgetting]:
        """Return the newest reports of the tenant."""
        rows = await self._fetch(_LIST, tenant, limit)
        return [Forgetting.model_validate_json(row["report"]) for row in rows]

    async def get(self, tenant: str, id: str) -> Forgetting | None:
        """Return a report; None if the tenant has none of this id."""
        rows = await self._fetch(_GET, tenant, id)
        return Forgetting.model_validate_json(rows[0]["report"]) if rows else None

    async def ids(self) -> frozenset[str]:
        """Return the ids of all orders."""
        return frozenset(row["id"] for row in await self._fetch(_IDS))

    async def done(self) -> builtins.list[Forgetting]:
        """Return all reports of what was carried out."""
        return [Forgetting.model_validate_json(row["report"]) for row in await self._fetch(_DONE)]

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _execute(self, statement: str, *values: datetime | Any) -> None:
        async with self._answering() as pool:
            await pool.execute(statement, *values)

    async def _fetch(self, statement: str, *values: Any) -> builtins.list[asyncpg.Record]:
        async with self._answering() as pool:
            rows: builtins.list[asyncpg.Record] = await pool.fetch(statement, *values)
        return rows

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[asyncpg.Pool]:
        """Open connections. A table that is gone is made again at the next call."""
        try:
            with mapped(*LACKING):
                yield await self._connected()
        except ArchiveUnavailable as outage:
            self._prepared &= not isinstance(outage.__cause__, asyncpg.UndefinedTableError)
            raise

    async def _connected(self) -> asyncpg.Pool:
        """Return a pool whose database has the table."""
        async with self._connecting:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=2, timeout=5, command_timeout=10)
            if not self._prepared:
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                    await connection.execute(_SCHEMA)
                self._prepared = True
            return self._pool
