"""Vectors of memories from an endpoint that takes short texts only, and none with a certain word."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from services.memory.vectors import INSTEAD, vectors_of
from shared.errors import TerminalError
from shared.memory.embedding import RemoteEmbedder
from tests.support.memories import memory
from tests.support.models import replica
from tests.support.remembering import remembering

pytestmark = pytest.mark.broker

MOST = 600


@asynccontextmanager
async def embedder_of(settings, *, status: int = 413):
    """An embedder by HTTP, and the texts that its endpoint has taken. `status`: of its refusal."""
    taken = []

    async def answer(request):
        texts = (await request.json())["input"]
        if any(len(each) > MOST or "filtered" in each for each in texts):
            return web.json_response({"error": {"message": "no"}}, status=status)
        taken.extend(texts)
        data = [{"object": "embedding", "index": n, "embedding": [float(len(t)), 1.0]} for n, t in enumerate(texts)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": data, "model": "m", "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    own = settings.model_copy(update={"openai_base_url": url, "model_embed": "m", "step_timeout": 30.0})
    async with replica(own) as models:
        yield RemoteEmbedder("m", models.embed), taken
    await runner.cleanup()


async def test_a_text_that_is_refused_holds_up_no_other_memory_and_no_other_tenant(
    settings, topics, sentinel, memories
):
    long, withheld = memory("long " * 1_000, 1), memory("filtered", 2)
    async with remembering(settings, sentinel) as found, embedder_of(settings) as (embedder, taken):
        for each in (long, withheld, memory("short", 3)):
            await found.viewer.view.keep(each)
        await found.viewer.view.keep(memory("of beta", 4, "beta"))
        made = await found.upkeep.embed(embedder)
        assert await memories.door.has_vectors(), "the Postgres of the tests has pgvector"
        assert made == 4
        assert await found.upkeep.embed(embedder) == 0
    assert sorted(taken) == sorted([long.content[:500], INSTEAD, "short", "of beta"])


async def test_a_refused_key_is_not_taken_for_a_refused_text(settings, sentinel):
    async with embedder_of(settings, status=401) as (embedder, taken):
        with pytest.raises(TerminalError):
            await vectors_of(embedder, ["short", "filtered"])
    assert taken == []
