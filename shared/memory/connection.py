"""Connections on which every statement is confined to one tenant."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.archive.outages import ArchiveUnavailable, mapped
from shared.errors import Misconfigured
from shared.memory.tables import ROLE, Prepared, prepare

_CONFINE = """
SELECT set_config('waggle.tenant', $1, true), set_config('waggle.proof', $2, true), set_config('role', $3, true),
    set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
    set_config('enable_seqscan', 'off', true), memory_tenant() = $1 AS proven
"""
"""The plan must know the tenant, since a vector index belongs to one; no statement needs all tenants' rows."""

_GONE = (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidParameterValueError)
"""Errors of a database that was prepared, and has been emptied or replaced since."""


FAILURES: tuple[type[Exception], ...] = (ArchiveUnavailable, Misconfigured, asyncpg.PostgresError)
"""Errors of a server that is unavailable, or refuses: work that can do without memories continues."""


class Door:
    """Transactions of one tenant. Raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._prepared: Prepared | None = None
        self._first = asyncio.Lock()

    @asynccontextmanager
    async def of(self, tenant: str, *, readonly: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """Open a transaction that sees and writes this tenant's rows alone."""
        with mapped():
            pool, prepared = await self._connected()
            proof = hashlib.sha256(f"{prepared.secret}/{tenant}".encode()).hexdigest()
            async with pool.acquire() as connection, connection.transaction(readonly=readonly):
                await self._confine(connection, tenant, proof, ROLE if prepared.role else "none")
                try:
                    yield connection
                except asyncpg.UndefinedTableError:
                    raise self._replaced() from None

    async def _confine(self, connection: asyncpg.Connection, tenant: str, proof: str, role: str) -> None:
        """Confine a transaction to a tenant. A database that has lost our tables is prepared again."""
        try:
            proven = await connection.fetchval(_CONFINE, tenant, proof, role, column=6)
        except (*_GONE, asyncpg.InsufficientPrivilegeError):
            proven = False
        if not proven:
            raise self._replaced()

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection that may build indexes; for no statement with a caller's text in it."""
        with mapped():
            pool, _ = await self._connected()
            async with pool.acquire() as connection:
                try:
                    yield connection
                except _GONE:
                    raise self._replaced() from None

    def _replaced(self) -> ArchiveUnavailable:
        """Have the database prepared again at the next use; return the error of this one."""
        self._prepared = None
        return ArchiveUnavailable("the tables of the memories have been replaced")

    async def has_vectors(self) -> bool:
        """Return False if the server lacks the extension `vector`."""
        with mapped():
            _, prepared = await self._connected()
        return prepared.vectors

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()

    async def _connected(self) -> tuple[asyncpg.Pool, Prepared]:
        if self._pool is not None and self._prepared is not None:
            return self._pool, self._prepared
        async with self._first:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=4, timeout=10, command_timeout=60
                )
            if self._prepared is None:
                async with self._pool.acquire() as connection:
                    self._prepared = await prepare(connection)
            return self._pool, self._prepared


async def offers_vectors(dsn: str) -> bool:
    """Return True if the server can have the extension `vector`. Changes nothing. Raises ArchiveUnavailable."""
    with mapped():
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            found = await connection.fetchval("SELECT true FROM pg_available_extensions WHERE name = 'vector'")
        finally:
            await connection.close()
    return bool(found)
