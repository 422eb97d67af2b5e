"""Audit of contents: who looked at the prompts, replies, results, files or records of which run, and when.

An access is recorded before the contents are returned: without a record there are no contents. The newest of each
tenant are kept in Redis, and each is a line of the gateway's log, too.
"""

import json
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.api.contents import AuditPage, ContentAccess
from services.gateway.access import Caller
from shared.blackboard import keys
from shared.service import Parts

MOST_KEPT = 10_000
"""Accesses kept of each tenant."""

KEPT_SECONDS = 90 * 86_400
"""Seconds for which they are kept after the latest one: 90 days."""

ANONYMOUS = "anonymous"
"""Author at a gateway that requires no key."""

log = structlog.get_logger()


async def record_access(parts: Parts, caller: Caller, tenant: str, kind: str, run_id: str, what: str = "") -> None:
    """Record that the caller is shown contents. Raises Redis's errors: then the contents are not shown."""
    by, key = caller.name or ANONYMOUS, keys.audit(tenant)
    about = {"at": datetime.now(UTC).isoformat(), "by": by, "run_id": run_id, "kind": kind, "what": what}
    async with parts.redis.pipeline(transaction=True) as pipe:
        pipe.xadd(key, {"access": json.dumps(about)}, maxlen=MOST_KEPT, approximate=True)
        pipe.expire(key, KEPT_SECONDS)
        await pipe.execute()
    log.info("contents_shown", tenant=tenant, principal=by, run=run_id, kind=kind, what=what)


async def read_audit(parts: Parts, tenant: str, limit: int, before: str | None) -> AuditPage:
    """Return the tenant's accesses, the newest first."""
    found = await parts.redis.xrevrange(keys.audit(tenant), f"({before}" if before else "+", "-", count=limit + 1)
    accesses = [_access(*entry) for entry in found[:limit]]
    return AuditPage(accesses=accesses, older=accesses[-1].id if len(found) > limit else None)


def _access(id: str, fields: dict[str, Any]) -> ContentAccess:
    return ContentAccess.model_validate(json.loads(fields["access"]) | {"id": id})
