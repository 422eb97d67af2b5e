"""Upkeep of the store, alongside the records: filling an emptied one, removing what has expired, and vectors."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from schemas.memory import MemoryKind
from services.memory.settings import MemorySettings
from services.memory.vectors import vectors_of
from services.memory.viewing import Viewer
from shared.bus.admin import stream
from shared.bus.groups import MEMORIES, MEMORY
from shared.memory.embedding import Embedder

LOOK_EVERY = 5.0
"""Seconds between two looks for an emptied store, and for memories without a vector."""

EXPIRE_EVERY = 300.0
"""Seconds between two removals of what has expired."""

EXPIRED_FOR = timedelta(hours=1)
"""Time between the end of a memory's validity and its removal: a person who pinned it before the end keeps it."""

AT_ONCE = 500
VECTORS_AT_ONCE = 64

EXPIRED = "expired"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Background work of the service. Several replicas may do the same: nothing is done twice that differs."""

    viewer: Viewer
    own: MemorySettings
    embedder: Embedder | None = None

    async def watch_store(self) -> None:
        """Fill a store that is new or was emptied, whenever it is found to be."""
        while True:
            await self.fill()
            await asyncio.sleep(LOOK_EVERY)

    async def fill(self) -> int:
        """Fill the store from the whole topic unless it is filled; return the number of records.

        Records are applied in any order and as often as they come, so this happens alongside the consumer. The mark is
        set at the end: after a failure it begins once more. Repairs of the topic are left to the consumer.
        """
        view, number = self.viewer.view, 0
        if await view.is_filled():
            return 0
        async for records in stream(self.viewer.parts.settings, MEMORIES):
            await self.viewer.apply_all(records)
            number += len(records)
        await view.mark_filled()
        log.info("memory_store_filled", records=number)
        return number

    async def expire_regularly(self) -> None:
        """Remove what has expired, at once and then regularly."""
        while True:
            await self.expire(datetime.now(UTC))
            await asyncio.sleep(EXPIRE_EVERY)

    async def expire(self, now: datetime) -> int:
        """Remove memories that have expired from topic and store; return how many.

        A fact that ended early, as by a newer one, stays for as long as facts are kept.
        """
        end, removed = now - EXPIRED_FOR, 0
        facts_before = self.own.kept_since(MemoryKind.SEMANTIC, end)
        for tenant in await self.viewer.view.tenants():
            while ids := await self.viewer.view.expired(tenant, end, AT_ONCE, facts_before):
                await self.viewer.forget(tenant, ids, by=MEMORY, reason=EXPIRED)
                removed += len(ids)
        self.viewer.parts.metrics.memories.labels(EXPIRED).inc(removed)
        return removed

    async def embed_regularly(self) -> None:
        """Give each memory a vector, if there is an embedder."""
        while self.embedder is not None:
            await self.embed(self.embedder)
            await asyncio.sleep(LOOK_EVERY)

    async def embed(self, embedder: Embedder) -> int:
        """Give memories without a vector one; return how many. Builds the index of a tenant that has become large.

        A batch of each tenant in turn, so that none waits for all memories of another.
        """
        waiting, made = await self.viewer.view.tenants(), Counter[str]()
        while waiting:
            batch = {tenant: await self._embed_batch(tenant, embedder) for tenant in waiting}
            made.update(batch)
            waiting = [tenant for tenant, number in batch.items() if number]
        for tenant in +made:
            await self.viewer.view.store.tune(tenant, embedder.name)
        return made.total()

    async def _embed_batch(self, tenant: str, embedder: Embedder) -> int:
        store = self.viewer.view.store
        found = await store.without_vector(tenant, embedder.name, VECTORS_AT_ONCE)
        vectors = await vectors_of(embedder, [each.content for each in found]) if found else []
        made = {each.id: vector for each, vector in zip(found, vectors, strict=True)}
        await store.embed(tenant, embedder.name, made, {each.id: each.version for each in found})
        return len(found)
