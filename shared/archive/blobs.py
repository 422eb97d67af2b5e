"""Attachments and artefacts by content hash. Each belongs to a tenant; equal bytes are stored once per tenant."""

import asyncio
import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared.archive.outages import LACKING, ArchiveUnavailable, mapped
from shared.errors import TerminalError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blobs (
    tenant     text        NOT NULL,
    sha256     text        NOT NULL,
    media_type text        NOT NULL,
    content    bytea       NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, sha256)
)
"""
_SCHEMA_LOCK = 0x3A66

_PUT = "INSERT INTO blobs (tenant, sha256, media_type, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_GET = "SELECT content, media_type FROM blobs WHERE tenant = $1 AND sha256 = $2"
_KNOWN = "SELECT media_type, octet_length(content) AS size FROM blobs WHERE tenant = $1 AND sha256 = $2"
_COUNT = "SELECT count(*) FROM blobs WHERE tenant = $1"
_PART = "SELECT substring(content FROM $3::int FOR $4::int) FROM blobs WHERE tenant = $1 AND sha256 = $2"

_REMOVE = "DELETE FROM blobs WHERE tenant = $1 AND sha256 = ANY($2::text[]) AND stored_at <= $3"
_REMOVE_ALL = "DELETE FROM blobs WHERE tenant = $1 AND stored_at <= $2"

SCHEME = "blob:"


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored content."""

    content: bytes
    media_type: str


class BlobStore:
    """Content by tenant and hash. Every call raises ArchiveUnavailable while Postgres does not answer."""

    def __init__(self, dsn: str, largest: int) -> None:
        self._dsn = dsn
        self._largest = largest
        self._pool: asyncpg.Pool | None = None
        self._connecting: asyncio.Task[asyncpg.Pool] | None = None
        self._lacks_table = False

    async def put(self, tenant: str, content: bytes, media_type: str) -> str:
        """Store and return the reference, `blob:<sha256>`. Raises TerminalError `too_large`."""
        if len(content) > self._largest:
            raise TerminalError(f"{len(content)} bytes are more than the {self._largest} allowed", code="too_large")
        sha256 = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        with self._mapped():
            pool = await self._connected()
            await pool.execute(_PUT, tenant, sha256, media_type, content)
        return SCHEME + sha256

    async def get(self, tenant: str, uri: str) -> Blob | None:
        """Return the content of a reference; None if the tenant has no such content."""
        with self._mapped():
            pool = await self._connected()
            row = await pool.fetchrow(_GET, tenant, uri.removeprefix(SCHEME))
        return Blob(row["content"], row["media_type"]) if row else None

    async def known(self, tenant: str, uri: str) -> tuple[str, int] | None:
        """Return media type and size of a reference; None if the tenant has no such content."""
        with self._mapped():
            pool = await self._connected()
            row = await pool.fetchrow(_KNOWN, tenant, uri.removeprefix(SCHEME))
        return (row["media_type"], row["size"]) if row else None

    async def count(self, tenant: str) -> int:
        """Return the number of the tenant's files."""
        with self._mapped():
            pool = await self._connected()
            found: int = await pool.fetchval(_COUNT, tenant)
        return found

    async def part(self, tenant: str, uri: str, offset: int, size: int) -> bytes:
        """Return a part of the content of a reference, which must exist."""
        with self._mapped():
            pool = await self._connected()
            content: bytes = await pool.fetchval(_PART, tenant, uri.removeprefix(SCHEME), offset + 1, size)
        return content

    async def remove(self, tenant: str, uris: Collection[str] | None, until: datetime) -> int:
        """Remove the content of these references, or all of the tenant, stored at or before `until`; return its number.

        A reference is to be named only if nothing else of the tenant has it: equal content is stored once.
        """
        with self._mapped():
            pool = await self._connected()
            if uris is None:
                done = await pool.execute(_REMOVE_ALL, tenant, until)
            else:
                done = await pool.execute(_REMOVE, tenant, [each.removeprefix(SCHEME) for each in uris], until)
        return int(done.rpartition(" ")[2])

    async def close(self) -> None:
        """Close the connections."""
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._pool is not None:
            await self._pool.close()

    async def _connected(self) -> asyncpg.Pool:
        """Return the pool. Concurrent first calls share one connection attempt and its failure."""
        if self._pool is not None:
            if self._lacks_table:
                await _prepare(self._pool)
                self._lacks_table = False
            return self._pool
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._prepared())
        self._pool = await asyncio.shield(self._connecting)
        return self._pool

    async def _prepared(self) -> asyncpg.Pool:
        """Return a pool whose database has the table."""
        pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=4, timeout=10, command_timeout=60)
        try:
            await _prepare(pool)
        except BaseException:
            pool.terminate()
            raise
        return pool

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Map the errors of an outage. A table that is gone is made again at the next call."""
        try:
            with mapped(*LACKING):
                yield
        except ArchiveUnavailable as outage:
            self._lacks_table |= isinstance(outage.__cause__, asyncpg.UndefinedTableError)
            raise


async def _prepare(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute(_SCHEMA)
