"""Rate limits per tenant. The orchestrator enforces that of submitted tasks on tasks from any source."""

import asyncio

import structlog

from services.gateway.errors import too_many
from shared import blackboard
from shared.access.tenants import read_tenants
from shared.resilience import Buckets, Rate
from shared.service import Parts

WITHIN = 2.0
"""Seconds for Redis to answer."""

MISSED: tuple[type[Exception], ...] = (*blackboard.OUTAGES, TimeoutError)

log = structlog.get_logger()


async def admit(parts: Parts, tenant: str) -> None:
    """Take one task from the tenant's rate. Raises Refused 429 with `Retry-After`.

    While Redis is unavailable nothing is refused: tasks wait in Kafka, and the orchestrator enforces the rate.
    """
    tenants = read_tenants(parts.settings.tenants)
    terms = tenants.of(tenant) if tenants else None
    if terms is None or terms.tasks_per_minute is None:
        return
    message = f"tenant `{tenant}` may submit {terms.tasks_per_minute} tasks per minute"
    await limit(parts, f"http-tasks/{tenant}", tenant, terms.tasks_per_minute, message)


async def limit(parts: Parts, bucket: str, tenant: str, per_minute: int, message: str) -> None:
    """Take one request from a rate that all replicas share. Raises Refused 429; refuses nothing without Redis."""
    buckets = Buckets(parts.sentinel.scripts, {bucket: Rate.per_minute(per_minute)})
    try:
        async with asyncio.timeout(WITHIN):
            taken, wait = await buckets.take([1], 0)
    except MISSED as outage:
        log.warning("rate_limit_not_checked", tenant=tenant, error=repr(outage))
        return
    if not taken:
        raise too_many(message, wait)
