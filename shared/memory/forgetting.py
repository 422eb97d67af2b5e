"""Forgetting in Postgres: memories forgotten for good, and standing orders, checked in the transaction of each put.

A put and an order of one tenant never overlap: either the order finds the row, or the put finds the order.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from schemas.memory import Memory, writable
from schemas.memory_log import ForgettingOrdered

_LOCK = "SELECT pg_advisory_xact_lock{shared}(hashtextextended('waggle memory/' || $1, 0))"
_HIDDEN = "'sha256:' || encode(sha256(convert_to({}, 'UTF8')), 'hex')"
_MET = f"""
(o.subject IS NULL OR o.subject = {_HIDDEN.format("lower(m.subject)")}) AND (o.run IS NULL OR o.run = m.run)
AND (o.session IS NULL OR o.session = {_HIDDEN.format("m.session")}) AND m.created <= o.at
"""
"""Condition of an order, which names subject and session by their digests."""
_REFUSED = f"""
SELECT m.id FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    m(id, subject, run, session, created)
WHERE EXISTS (SELECT 1 FROM memory_forgotten f WHERE f.tenant = $1 AND f.id = m.id)
OR EXISTS (SELECT 1 FROM memory_orders o WHERE o.tenant = $1 AND {_MET})
"""  # noqa: S608 -- our own condition
_STAND = """
INSERT INTO memory_orders (tenant, key, subject, run, session, at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, key) DO UPDATE SET at = greatest(memory_orders.at, excluded.at)
"""
_CHOSEN = f"""
SELECT m.id FROM memories m JOIN memory_orders o ON o.tenant = $1 AND o.key = $2
WHERE m.tenant = $1 AND {_MET} ORDER BY m.id
"""  # noqa: S608 -- our own condition
_MARK = """
INSERT INTO memory_forgotten SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[])
ON CONFLICT (tenant, id) DO NOTHING
"""


async def lock(connection: asyncpg.Connection, tenant: str, *, alone: bool = False) -> None:
    """Hold the tenant's lock to the end of the transaction: puts share it, an order has it alone."""
    await connection.execute(_LOCK.format(shared="" if alone else "_shared"), tenant)


async def refused(connection: asyncpg.Connection, tenant: str, memories: Sequence[Memory]) -> set[str]:
    """Return the ids of those that are forgotten, or that a standing order covers."""
    columns = [[getattr(each, name) for each in memories] for name in ("id", "subject", "run", "session", "created")]
    return {row["id"].hex for row in await connection.fetch(_REFUSED, tenant, *columns)}


async def stand(connection: asyncpg.Connection, order: ForgettingOrdered) -> list[str]:
    """Let an order stand; return the ids of the stored memories that it covers."""
    await lock(connection, order.tenant, alone=True)
    fields = [writable(each) for each in (order.subject, order.run, order.session)]
    await connection.execute(_STAND, order.tenant, order.key, *fields, order.at)
    return [row["id"].hex for row in await connection.fetch(_CHOSEN, order.tenant, order.key)]


async def mark(connection: asyncpg.Connection, tenant: str, gone: Mapping[str, datetime]) -> None:
    """Mark memories as forgotten for good, by id, each with its time."""
    ids = sorted(gone)
    await connection.execute(_MARK, tenant, ids, [gone[each] for each in ids])
