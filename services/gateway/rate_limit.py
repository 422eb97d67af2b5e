"""How many tasks a tenant may hand in a minute over HTTP. Whatever way they come, the orchestrator counts them too."""

import asyncio

import structlog

from services.gateway.errors import too_many
from shared import blackboard
from shared.access.tenants import read_tenants
from shared.resilience import Buckets, Rate
from shared.service import Parts

WITHIN = 2.0
"""Seconds Redis has to say how many there were."""

MISSED: tuple[type[Exception], ...] = (*blackboard.OUTAGES, TimeoutError)

log = structlog.get_logger()


async def admit(parts: Parts, tenant: str) -> None:
    """Return when the tenant may hand in a task now. Raises Refused 429, with when to come again.

    While Redis is away nothing is refused: tasks wait in Kafka, and the orchestrator lets in so many a minute.
    """
    tenants = read_tenants(parts.settings.tenants)
    terms = tenants.of(tenant) if tenants else None
    if terms is None or terms.tasks_per_minute is None:
        return
    handed_in = Buckets(parts.sentinel.scripts, {f"http-tasks/{tenant}": Rate.per_minute(terms.tasks_per_minute)})
    try:
        async with asyncio.timeout(WITHIN):
            taken, wait = await handed_in.take([1], 0)
    except MISSED as away:
        log.warning("a task was taken without a look at its tenant's limit", tenant=tenant, error=repr(away))
        return
    if not taken:
        raise too_many(f"tenant `{tenant}` may hand in {terms.tasks_per_minute} tasks a minute", wait)
