"""Retention and legal hold of a tenant: rows leave from the start of the chain, and an anchor takes their place.

The role that removes them is that of no service, and the trigger on the tables asks the policy once more for each row.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from secrets import randbelow
from typing import Any

import asyncpg

from shared.audit.row import Draft, Place
from shared.audit.store import LOCK, AuditStore, Recorded
from shared.audit.tables import KEEPER

LEAST_DAYS = 31
"""Shortest retention: the logs are kept for 30 days, and a record that is read once more must find its row."""

RETENTION = "retention"
"""Kind of the row of a changed policy, and of a removal."""

AT_ONCE = 20_000
"""Rows removed in one transaction."""

_POLICY = "SELECT days, held, by, reason, changed FROM audit_policies WHERE tenant = $1 ORDER BY changed DESC LIMIT 1"
_SET = "INSERT INTO audit_policies (tenant, days, held, by, reason) VALUES ($1, $2, $3, $4, $5)"
_OLDEST = "SELECT number, at, previous, hash FROM audit_records WHERE tenant = $1 ORDER BY number LIMIT $2"
_ANCHOR = """
INSERT INTO audit_anchors (tenant, first, last, before, after, by, reason) VALUES ($1, $2, $3, $4, $5, $6, 'retention')
"""
_REMOVE = (
    "DELETE FROM audit_contents WHERE tenant = $1 AND number <= $2",
    "DELETE FROM audit_records WHERE tenant = $1 AND number <= $2",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Retention of a tenant's rows. The last one that was set is in force."""

    days: int = 0
    """Days for which rows are kept; 0: without end."""
    held: bool = False
    """True while a legal hold keeps every row, however old."""
    by: str = ""
    reason: str = ""
    changed: datetime | None = None


class NotRemoved(Exception):
    """The user of the database may not create the role that removes rows."""


async def policy_of(store: AuditStore, tenant: str) -> Policy:
    """Return the policy in force. Raises ArchiveUnavailable."""
    async with store.door.of(tenant) as connection:
        return await _policy(connection, tenant)


async def change_policy(store: AuditStore, tenant: str, by: str, reason: str, **change: Any) -> Policy:
    """Change the days or the hold, and add a row to the chain that says so. Raises ArchiveUnavailable."""
    async with store.door.of(tenant, KEEPER) as connection:
        await connection.execute(LOCK, tenant)
        policy = replace(await _policy(connection, tenant), by=by, reason=reason, **change)
        await connection.execute(_SET, tenant, policy.days, policy.held, by, reason)
    name = {True: "hold", False: "release", None: "keep"}[change.get("held")]
    facts = {"days": policy.days, "held": policy.held}
    await _note(store, tenant, name=name, by=by, facts=facts, contents={"reason": reason})
    return policy


async def prune(store: AuditStore, tenant: str, by: str) -> int:
    """Remove rows that are older than the policy keeps; return how many. Raises ArchiveUnavailable, NotRemoved."""
    if not await store.door.has_roles():
        raise NotRemoved
    removed, last = 0, 0
    while (found := await _prune(store, tenant, by)) is not None:
        removed, last = removed + found[1] - found[0] + 1, found[1]
    if removed:
        await _note(store, tenant, name="removed", by=by, facts={"rows": removed, "last": last})
    return removed


async def _policy(connection: asyncpg.Connection, tenant: str) -> Policy:
    found = await connection.fetchrow(_POLICY, tenant)
    return Policy(**found) if found else Policy()


async def _prune(store: AuditStore, tenant: str, by: str) -> tuple[int, int] | None:
    """Remove a part of the oldest rows; return the numbers of the first and the last, or None."""
    async with store.door.of(tenant, KEEPER) as connection:
        await connection.execute(LOCK, tenant)
        policy = await _policy(connection, tenant)
        if policy.held or not policy.days:
            return None
        before = await connection.fetchval("SELECT now()") - timedelta(days=policy.days)
        oldest = await connection.fetch(_OLDEST, tenant, AT_ONCE)
        rows = list(takewhile(lambda row: row["at"] < before, oldest))
        if not rows:
            return None
        first, last = rows[0], rows[-1]
        ends = (first["number"], last["number"])
        await connection.execute(_ANCHOR, tenant, *ends, first["previous"], last["hash"], by)
        for statement in _REMOVE:
            await connection.execute(statement, tenant, last["number"])
        return ends


async def _note(store: AuditStore, tenant: str, **values: Any) -> None:
    """Add a row to the tenant's chain."""
    now = datetime.now(UTC)
    place = Place(RETENTION, randbelow(2**31), int(now.timestamp() * 1_000_000))
    await store.append([Recorded(place, [Draft(tenant=tenant, at=now, kind=RETENTION, **values)])])
