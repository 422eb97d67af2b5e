"""Keys of runs, under which the values of their records in Kafka are sealed. Without its key a run is forgotten.

A row outlives its key: it marks the run as forgotten, so that no redelivery makes a second key for it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from shared.archive.outages import ArchiveUnavailable, mapped

KEY_BYTES = 32
"""Bytes of a key: AES-256."""

Keys: TypeAlias = Mapping[str, bytes | None]
"""Run → its key; None if the run was forgotten. A run without a row is absent."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run_keys (
    run       text        NOT NULL PRIMARY KEY,
    tenant    text        NOT NULL,
    key       bytea,
    made      timestamptz NOT NULL DEFAULT now(),
    forgotten timestamptz
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS run_keys_tenant ON run_keys (tenant, run) WHERE key IS NOT NULL"
_SCHEMA_LOCK = 0x3A67

_GET = "SELECT run, key FROM run_keys WHERE run = ANY($1::text[])"
_MAKE = """
INSERT INTO run_keys (run, tenant, key) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (run) DO NOTHING RETURNING run, key
"""
_FORGET = """
INSERT INTO run_keys (run, tenant, key, forgotten) SELECT each, $2, NULL, now() FROM unnest($1::text[]) AS each
ON CONFLICT (run) DO UPDATE SET key = NULL, forgotten = COALESCE(run_keys.forgotten, now())
WHERE run_keys.tenant = EXCLUDED.tenant
"""
_OF_TENANT = "SELECT run FROM run_keys WHERE tenant = $1 AND key IS NOT NULL AND made <= $2"
_FORGOTTEN = "SELECT run FROM run_keys WHERE key IS NULL"


class RunKeys:
    """Keys by run. Connects on first use.

    Every call raises ArchiveUnavailable while Postgres does not answer, or refuses for any reason: without keys nothing
    is read or written, so that all of it must wait.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._prepared = False

    async def get(self, runs: Sequence[str]) -> Keys:
        """Return the keys of these runs, without those that have no row."""
        async with self._answering() as pool:
            rows = await pool.fetch(_GET, list(runs))
        return {row["run"]: row["key"] for row in rows}

    async def make(self, runs: Mapping[str, str]) -> Keys:
        """Return the keys of these runs, given with their tenants; a run without a row gets a new key."""
        names, drawn = list(runs), [secrets.token_bytes(KEY_BYTES) for _ in runs]
        async with self._answering() as pool:
            made = await pool.fetch(_MAKE, names, list(runs.values()), drawn)
        found = {row["run"]: row["key"] for row in made}
        rest = [each for each in names if each not in found]
        return {**found, **(await self.get(rest))} if rest else found

    async def forget(self, tenant: str, runs: Sequence[str]) -> None:
        """Destroy the keys of these runs of the tenant for good, also of runs that have none yet."""
        async with self._answering() as pool:
            await pool.execute(_FORGET, list(runs), tenant)

    async def forgotten(self) -> frozenset[str]:
        """Return all forgotten runs."""
        async with self._answering() as pool:
            rows = await pool.fetch(_FORGOTTEN)
        return frozenset(row["run"] for row in rows)

    async def of_tenant(self, tenant: str, until: object) -> list[str]:
        """Return the runs of the tenant that have a key, made at or before `until`."""
        async with self._answering() as pool:
            rows = await pool.fetch(_OF_TENANT, tenant, until)
        return [row["run"] for row in rows]

    async def purge(self) -> None:
        """Remove destroyed keys from the pages of the table, where Postgres keeps former versions of rows."""
        async with self._answering() as pool:
            await pool.execute("VACUUM run_keys")

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[asyncpg.Pool]:
        """Open connections, and count every error of Postgres as an outage. A table that is gone is made again."""
        with mapped():
            try:
                yield await self._connected()
            except asyncpg.PostgresError as error:
                self._prepared &= not isinstance(error, asyncpg.UndefinedTableError)
                raise ArchiveUnavailable(f"{type(error).__name__}: {error}") from error

    async def _connected(self) -> asyncpg.Pool:
        """Return a pool whose database has the table."""
        async with self._connecting:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=2, timeout=5, command_timeout=10)
            if not self._prepared:
                await _prepare(self._pool)
                self._prepared = True
            return self._pool


async def _prepare(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(_SCHEMA)
        await connection.execute(_INDEX)
