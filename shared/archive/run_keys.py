"""Keys of runs, under which the values of their records in Kafka are sealed. Without its key a run is forgotten.

A row outlives its key: it marks the run as forgotten, so that no redelivery makes a second key for it. A run has
several keys if a database that had lost the first was asked for one: each opens the records that it has sealed. A key
that has expired marks nothing: the run gets another one if it is started once more.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import TypeAlias

import asyncpg

from shared.archive.outages import ArchiveUnavailable, mapped

KEY_BYTES = 32
"""Bytes of a key: AES-256."""

Keys: TypeAlias = Mapping[str, Sequence[bytes] | None]
"""Run → its keys, that first under which it is sealed; None if it was forgotten. A run without a row is absent."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run_keys (
    run       text        NOT NULL PRIMARY KEY,
    tenant    text        NOT NULL,
    key       bytea,
    made      timestamptz NOT NULL DEFAULT now(),
    forgotten timestamptz,
    former    bytea[]     NOT NULL DEFAULT '{}',
    used      date        NOT NULL DEFAULT current_date
)
"""
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'run_keys'::regclass"
_ADDED = {
    "former": "ALTER TABLE run_keys ADD COLUMN former bytea[] NOT NULL DEFAULT '{}'",
    "used": "ALTER TABLE run_keys ADD COLUMN used date NOT NULL DEFAULT current_date",
}
"""Columns of later releases. Added only where they are missing: it waits for a dump that is being made."""
_INDEX = "CREATE INDEX IF NOT EXISTS run_keys_tenant ON run_keys (tenant, run) WHERE key IS NOT NULL"
_SCHEMA_LOCK = 0x3A67

_GET = "SELECT run, key, former FROM run_keys WHERE run = ANY($1::text[])"
_MAKE = """
INSERT INTO run_keys (run, tenant, key) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (run) DO UPDATE SET key = COALESCE(run_keys.key, excluded.key), used = current_date
WHERE run_keys.forgotten IS NULL AND (run_keys.key IS NULL OR run_keys.used < current_date) RETURNING run, key, former
"""
"""Notes the use of a key once a day."""

_ADD = """
INSERT INTO run_keys (run, tenant, key) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (run) DO UPDATE SET former = run_keys.former || excluded.key
WHERE run_keys.tenant = excluded.tenant AND run_keys.key <> excluded.key AND excluded.key <> ALL (run_keys.former)
"""
"""Changes nothing of a forgotten run, whose key is null."""

_FORGET = """
INSERT INTO run_keys (run, tenant, key, forgotten) SELECT each, $2, NULL, now() FROM unnest($1::text[]) AS each
ON CONFLICT (run) DO UPDATE
SET key = NULL, former = '{}', used = current_date, forgotten = COALESCE(run_keys.forgotten, now())
WHERE run_keys.tenant = EXCLUDED.tenant
"""
_DESTROY = """
UPDATE run_keys SET key = NULL, former = '{}', forgotten = COALESCE(forgotten, now())
WHERE tenant = $1 AND run = ANY($2::text[]) AND key IS NOT NULL
"""
_OF_TENANT = "SELECT run FROM run_keys WHERE tenant = $1 AND key IS NOT NULL AND made <= $2"
_FORGOTTEN = "SELECT run FROM run_keys WHERE forgotten IS NOT NULL"
_UNUSED = """
SELECT run, tenant FROM run_keys WHERE key IS NOT NULL AND used < $1 AND run > $2 ORDER BY run LIMIT $3
"""
_EXPIRE = """
UPDATE run_keys SET key = NULL, former = '{}', used = current_date
WHERE run = ANY($1::text[]) AND key IS NOT NULL AND used < $2
"""
_REMOVE = "DELETE FROM run_keys WHERE key IS NULL AND used < $1"


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
        return _by_run(rows)

    async def make(self, runs: Mapping[str, str], had: Mapping[str, bytes] | None = None) -> Keys:
        """Return the keys of these runs, given with their tenants; a run without a row gets a new key, or that it had.

        `had`: keys that this database has given out before.
        """
        names, had = list(runs), had or {}
        drawn = [had.get(each) or secrets.token_bytes(KEY_BYTES) for each in runs]
        async with self._answering() as pool:
            made = await pool.fetch(_MAKE, names, list(runs.values()), drawn)
        found = _by_run(made)
        rest = [each for each in names if each not in found]
        return {**found, **(await self.get(rest))} if rest else found

    async def add(self, runs: Mapping[str, str], keys: Mapping[str, bytes]) -> None:
        """Put keys back that a restored database lacks, next to any others of their runs; not of forgotten ones."""
        async with self._answering() as pool:
            await pool.execute(_ADD, list(keys), [runs[each] for each in keys], list(keys.values()))

    async def forget(self, tenant: str, runs: Sequence[str]) -> None:
        """Destroy the keys of these runs of the tenant for good, also of runs that have none yet."""
        async with self._answering() as pool:
            await pool.execute(_FORGET, list(runs), tenant)

    async def destroy(self, tenant: str, runs: Sequence[str]) -> int:
        """Destroy those of these keys that are there again, as after a restore; return their number."""
        async with self._answering() as pool:
            done = await pool.execute(_DESTROY, tenant, list(runs))
        return int(done.rpartition(" ")[2])

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

    async def unused(self, before: date, after: str, most: int) -> list[tuple[str, str]]:
        """Return runs, each with its tenant, under whose key nothing was sealed since a day, by name after that one."""
        async with self._answering() as pool:
            rows = await pool.fetch(_UNUSED, before, after, most)
        return [(row["run"], row["tenant"]) for row in rows]

    async def expire(self, runs: Sequence[str], before: date) -> None:
        """Remove keys that were not used since. Their rows stay for a while, so that no reader waits for the keys."""
        async with self._answering() as pool:
            await pool.execute(_EXPIRE, list(runs), before)

    async def remove(self, before: date) -> int:
        """Remove the rows of runs whose keys were destroyed or have expired before that day; return their number."""
        async with self._answering() as pool:
            done = await pool.execute(_REMOVE, before)
        return int(done.rpartition(" ")[2])

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


def _by_run(rows: Sequence[asyncpg.Record]) -> dict[str, Sequence[bytes] | None]:
    return {row["run"]: (row["key"], *row["former"]) if row["key"] is not None else None for row in rows}


async def _prepare(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(_SCHEMA)
        known = {row["attname"] for row in await connection.fetch(_COLUMNS)}
        for statement in [each for name, each in _ADDED.items() if name not in known]:
            await connection.execute(statement)
        await connection.execute(_INDEX)
