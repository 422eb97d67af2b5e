"""A recall for a person: as agents make it, by meaning as well where this gateway has the local model."""

import asyncio
from datetime import datetime

import structlog

from schemas.api.memories import SearchQuery
from schemas.memory import Recalled
from shared.config import Settings
from shared.errors import Misconfigured
from shared.memory import Meaning, MemoryStore, Wanted, recall
from shared.memory.embedder import local_embedder

log = structlog.get_logger()


async def search(
    store: MemoryStore, settings: Settings, tenant: str, query: SearchQuery, now: datetime
) -> tuple[list[Recalled], bool]:
    """Return what is recalled for a text, best first, and True if its meaning counted.

    The gateway has no key of a model, so that with a remote model of vectors it searches by words alone.
    """
    wanted = Wanted(query.limit, kinds=(query.kind,) if query.kind else ())
    meaning = await _meaning(settings, query.text) if await store.door.has_vectors() else None
    return await recall(store, tenant, query.text, now, meaning=meaning, wanted=wanted), meaning is not None


async def _meaning(settings: Settings, text: str) -> Meaning | None:
    """Return the meaning of a text by the local model; None without a usable one."""
    if settings.memory_model is None:
        return None
    try:
        embedder = await asyncio.to_thread(local_embedder, settings.memory_model)
    except Misconfigured as why:
        log.warning("memory_model_unusable", error=str(why))
        return None
    [vector] = await embedder.embed([text])
    return Meaning(embedder.name, vector)
