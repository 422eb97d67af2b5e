"""Workers whose agents recall memories from the Postgres of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from schemas.memory import Memory
from shared.agent.memory import StoredMemories
from shared.agent.worker import Worker
from shared.memory import MemoryStore
from shared.memory.tables import TABLES, VECTORS
from tests.support.memories import NOW, memory


@asynccontextmanager
async def emptied_store(dsn: str) -> AsyncIterator[MemoryStore]:
    """A store without memories."""
    store = MemoryStore(dsn)
    async with store.door.owner() as connection:
        await connection.execute(f"TRUNCATE {', '.join((*TABLES, VECTORS))}")
    yield store
    await store.close()


def remembering(worker: Worker, store: MemoryStore, **settings) -> Worker:
    """The worker, whose agent has the memories of this store."""
    changed = worker.runtime.settings.model_copy(update=settings)
    memories = StoredMemories(store, worker.runtime.models)
    return Worker(replace(worker.runtime, memories=memories, settings=changed))


def past(content: str, number: int = 0, *, days: float = 1, **more) -> Memory:
    """A memory of the default tenant that is so many days old now."""
    made = memory(content, number, tenant="default", **more)
    return made.model_copy(update={"created": datetime.now(UTC) - (NOW - made.created) * days})
