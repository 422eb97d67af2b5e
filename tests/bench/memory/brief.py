"""`python -m tests.bench.memory.brief`: time and tokens that memories add to the opening of a step."""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

from infra.embedded.postgres import DATABASE, start
from schemas.step import DoStep
from services.communication.agent import agent
from shared.agent.handoff_run import HandoffRun
from shared.agent.memory import StoredMemories
from shared.agent.memory.brief import memories_for
from shared.config import settings_of
from shared.memory import MemoryStore
from shared.memory.selection import estimated_tokens
from tests.bench.memory.obedient import Obedient
from tests.bench.memory.speed import BATCH, TENANT, Maker
from tests.bench.table import Row, show
from waggle.testing import AgentHarness, Scripted
from waggle.testing.memory import MemoryRuntime

WORDS = 12
"""Words of an objective."""


async def openings(store: MemoryStore, tenant: str, objectives: list[str]) -> tuple[list[float], list[int]]:
    """Return the milliseconds of each opening, and the tokens of the memories in its brief."""
    model: Any = Obedient([], "pay", "")
    runtime = MemoryRuntime.of(agent, settings_of({}, agent.settings), model, StoredMemories(store, model))
    harness = AgentHarness(agent, model=Scripted([]))
    took, tokens = list[float](), list[int]()
    for objective in objectives:
        step = harness.handoff(DoStep, objective, tenant=tenant, step_id="step")
        run = HandoffRun.of(runtime, step, await runtime.journal(step).open())
        began = time.perf_counter()
        found = await memories_for(run)
        took.append(1000 * (time.perf_counter() - began))
        tokens.append(sum(estimated_tokens(each.text) for each in found.shown))
    return took, tokens


async def _transaction(store: MemoryStore, rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        async with store.door.of("none", readonly=True) as connection:
            await connection.fetchval("SELECT 1")
        took.append(1000 * (time.perf_counter() - began))
    return median(took)


async def measure(dsn: str, memories: int, rounds: int) -> list[Row]:
    """Fill a tenant, and open steps for it and for a tenant without memories."""
    store, maker = MemoryStore(dsn), Maker(1)
    made = [maker.memory(TENANT, number) for number in range(memories)]
    for at in range(0, memories, BATCH):
        await store.put(TENANT, made[at : at + BATCH])
    async with store.door.owner() as connection:
        await connection.execute("ANALYZE memories, memory_terms")  # as autovacuum does within a minute
    objectives = [" ".join(made[7 * n].content.split()[:WORDS]) for n in range(rounds)]
    rows = [Row("one short transaction on Postgres, median", await _transaction(store, rounds), "ms")]
    for name, tenant in (("without memories", "none"), (f"with {memories:,} memories", TENANT)):
        await openings(store, tenant, objectives[:5])
        took, tokens = await openings(store, tenant, objectives)
        cuts = quantiles(took, n=20)
        note = f"95th percentile {cuts[18]:.1f} ms; {mean(tokens):.0f} tokens on average, {max(tokens)} at most"
        rows.append(Row(f"opening of a step, tenant {name}, median", cuts[9], "ms", note=note))
    await store.close()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench.memory.brief", description=__doc__)
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = start(Path(folder) / "postgres")
        try:
            print(show(asyncio.run(measure(server.get_uri(DATABASE), chosen.memories, chosen.rounds))))
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
