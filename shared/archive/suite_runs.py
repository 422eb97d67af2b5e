"""Results of suites in Postgres: pass rates over time, without what the runs said or did."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from shared.archive.outages import mapped

_SCHEMA = """
CREATE TABLE IF NOT EXISTS suite_runs (
    suite   text        NOT NULL,
    id      text        NOT NULL,
    started timestamptz NOT NULL,
    result  text        NOT NULL,
    PRIMARY KEY (suite, id)
)
"""
_SCHEMA_LOCK = 0x3A7E

_SAVE = """
INSERT INTO suite_runs (suite, id, started, result) VALUES ($1, $2, $3, $4)
ON CONFLICT (suite, id) DO UPDATE SET started = excluded.started, result = excluded.result
"""
_LIST = """
SELECT result FROM suite_runs WHERE ($1::text IS NULL OR suite = $1) AND ($2::timestamptz IS NULL OR started >= $2)
ORDER BY started, suite, id
"""
_WITHIN = 10.0
"""Seconds Postgres may take to answer."""


async def save_suite_run(dsn: str, suite: str, id: str, started: datetime, result: str) -> None:
    """Store the results of a run of a suite; a run that was resumed replaces its earlier results.

    Raises ArchiveUnavailable.
    """
    async with _connected(dsn) as connection:
        await connection.execute(_SAVE, suite, id, started, result)


async def suite_runs(dsn: str, suite: str | None, since: datetime | None) -> list[str]:
    """Return the results of a suite, or of all, the oldest first. Raises ArchiveUnavailable."""
    async with _connected(dsn) as connection:
        return [row["result"] for row in await connection.fetch(_LIST, suite, since)]


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection to a database that has the table."""
    with mapped():
        connection = await asyncpg.connect(dsn, timeout=_WITHIN, command_timeout=_WITHIN)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                await connection.execute(_SCHEMA)
            yield connection
        finally:
            await connection.close()
