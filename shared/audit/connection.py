"""Connections to the record, confined to one tenant and to one role."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.archive.outages import ArchiveUnavailable, mapped
from shared.audit.tables import READER, make_month, prepare

_CONFINE = """
SELECT set_config('waggle.tenant', $1, true), set_config('role', $2, true), set_config('jit', 'off', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)
"""


class Door:
    """Transactions on the record. Raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._roles: bool | None = None
        self._months: set[str] = set()
        self._first = asyncio.Lock()

    @asynccontextmanager
    async def of(self, tenant: str, role: str = READER) -> AsyncIterator[asyncpg.Connection]:
        """Open a transaction that has this role and sees this tenant's rows alone."""
        with mapped():
            pool = await self._connected()
            async with pool.acquire() as connection, connection.transaction(readonly=role == READER):
                try:
                    await connection.fetchrow(_CONFINE, tenant, role if self._roles else "none")
                    yield connection
                except (asyncpg.UndefinedTableError, asyncpg.CheckViolationError, asyncpg.InvalidParameterValueError):
                    raise self._replaced() from None

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection with the rights of the owner, for no statement with a caller's text in it."""
        with mapped():
            pool = await self._connected()
            async with pool.acquire() as connection:
                try:
                    yield connection
                except asyncpg.UndefinedTableError:
                    raise self._replaced() from None

    async def have_months(self, months: set[str]) -> None:
        """Create the partitions of months that lack them."""
        for month in sorted(months - self._months):
            async with self.owner() as connection:
                await make_month(connection, month)
            self._months.add(month)

    async def has_roles(self) -> bool:
        """Return False if the user of the database may not create the roles: then triggers alone protect the rows."""
        with mapped():
            await self._connected()
        return bool(self._roles)

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def _replaced(self) -> ArchiveUnavailable:
        """Have the database prepared again at the next use; return the error of this one."""
        self._roles = None
        self._months.clear()
        return ArchiveUnavailable("the tables of the record have been replaced")

    async def _connected(self) -> asyncpg.Pool:
        """Return a pool whose database has the tables."""
        async with self._first:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=4, timeout=10, command_timeout=60
                )
            if self._roles is None:
                async with self._pool.acquire() as connection:
                    self._roles = await prepare(connection)
            return self._pool
