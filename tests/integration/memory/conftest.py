"""A store of memories on a real Postgres, emptied before each test."""

import pytest

from shared.memory import MemoryStore
from shared.memory.tables import TABLES, VECTORS


@pytest.fixture
async def store(parts):
    """An empty store."""
    store = MemoryStore(parts["WAGGLE_POSTGRES"])
    async with store.door.owner() as connection:
        await connection.execute(f"TRUNCATE {', '.join((*TABLES, VECTORS))}")
    yield store
    await store.close()
