"""Removal of rows that the policy of their tenant no longer keeps."""

import asyncio

import structlog

from shared.audit import AuditStore
from shared.audit.retention import NotRemoved, prune

EVERY = 3600.0
"""Seconds between two removals."""

log = structlog.get_logger()


async def prune_regularly(store: AuditStore) -> None:
    """Remove old rows of every tenant with a retention, without end. Raises ArchiveUnavailable."""
    while True:
        try:
            for tenant in await store.tenants():
                if removed := await prune(store, tenant, "archivist"):
                    log.info("audit_rows_removed", tenant=tenant, rows=removed)
        except NotRemoved:
            log.warning("audit_rows_not_removed", reason="the user of Postgres may not create roles")
        await asyncio.sleep(EVERY)
