"""The memory service as a process of its own that is killed while it works: nothing lost or twice, the same bytes."""

import asyncio
import random

import pytest

from services.memory.deriving import memories_of
from services.memory.settings import MemorySettings
from shared.bus.admin import read_topic
from shared.memory import MemoryStore, Selection
from shared.service.ended_runs import Ended
from tests.support.remembering import emptied, log, single, until

pytestmark = pytest.mark.broker

RUNS, KILLS = 24, 2


async def ends(settings, runs):
    """Partition and offset of the last record of each run."""
    records = [each async for batch in read_topic(settings, "runs.log") for each in batch]
    last = {each.key.decode(): (each.partition, each.offset) for each in sorted(records, key=lambda each: each.offset)}
    return {run.run_id: last[run.run_id] for run in runs}


async def stored(store: MemoryStore):
    return {each.id: each.model_dump_json() for each in await store.select("acme", Selection(), most=1_000)}


async def test_kills_lose_nothing_store_nothing_twice_and_change_no_byte(settings, writer, memories, service):
    chance = random.Random(7)
    runs = [single(f"run-{n}", f"Question {n}", f"Answer {n}", session=f"s{n % 3}", earlier=n) for n in range(RUNS)]

    async def happen():
        for run in runs:
            for change in run.changes:
                await log(writer, settings, run, numbers={change.number})
                await asyncio.sleep(0.005)

    happening = asyncio.create_task(happen())
    for _ in range(KILLS):
        await service.start(ready=False)
        await asyncio.sleep(chance.uniform(1.5, 3.0))
        await service.kill()
    await happening
    places = await ends(settings, runs)
    expected = {
        each.id: each.model_dump_json()
        for n, run in enumerate(runs)
        for each in memories_of(Ended(run.run, run.events, *places[run.run_id], n), MemorySettings())
    }
    await service.start()

    async def complete():
        return len(await stored(memories)) >= len(expected)

    await until(complete, 60)
    assert await stored(memories) == expected
    before = await memories.dump("acme")
    await service.kill()
    await (await emptied(settings.postgres)).close()
    await service.start(ready=False)
    await asyncio.sleep(chance.uniform(1.0, 3.0))
    await service.kill()
    await service.start()
    await until(memories_are_filled(settings), 60)
    assert await memories.dump("acme") == before


def memories_are_filled(settings):
    """A condition: the store was filled from the topic."""

    async def filled():
        store = MemoryStore(settings.postgres)
        async with store.door.owner() as connection:
            found = await connection.fetchval("SELECT count(*) FROM memory_filled")
        await store.close()
        return found == 1

    return filled
