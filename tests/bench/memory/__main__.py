"""`python -m tests.bench.memory --locomo FILE [--model FOLDER]`: how well and how quickly memories are found.

The file is LoCoMo's `locomo10.json` or a part of it. Its licence, CC BY-NC 4.0, permits measuring; it is never copied.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

import uvloop

from infra.embedded.postgres import DATABASE, start
from shared.memory import MemoryStore
from shared.memory.embedding import Embedder, LocalEmbedder
from tests.bench.memory import recalls, speed
from tests.bench.memory.locomo import Conversation, conversations
from tests.bench.table import Row, show

TARGETS = {(False, 10): 0.60, (False, 50): 0.75, (True, 10): 0.70, (True, 50): 0.88}


async def quality(store: MemoryStore, told: list[Conversation], embedder: Embedder | None) -> list[Row]:
    """Fill the store and ask every question, by words alone and with vectors."""
    rows = []
    for each in told:
        await recalls.fill(store, each, embedder)
    for used in (None, embedder) if embedder else (None,):
        found = [one for each in told for one in await recalls.asked(store, each, used)]
        how = "text and vectors" if used else "text alone"
        answerable = [each for each in found if each.category != recalls.WITHOUT_ANSWER]
        groups = {"categories 1–4": answerable} | {
            f"category {number}": [each for each in found if each.category == number] for number in range(1, 6)
        }
        for name, group in groups.items():
            rows += [_row(how, name, group, depth, bool(used)) for depth in recalls.DEPTHS if group]
    return rows


def _row(how: str, name: str, group: list[recalls.Found], depth: int, vectors: bool) -> Row:
    value = recalls.mean(group, depth)
    low, high = recalls.interval(group, depth)
    target = TARGETS.get((vectors, depth)) if name == "categories 1–4" else None
    note = f"95 %: {low:.3f} to {high:.3f}, {len(group)} questions"
    reached = None if target is None else value >= target
    return Row(
        f"LoCoMo evidence recall @{depth}, {how}, {name}",
        value,
        "",
        note=note,
        target=f"≥ {target}" if target else "",
        reached=reached,
    )


async def measure(dsn: str, chosen: argparse.Namespace) -> list[Row]:
    """Return all rows."""
    embedder = LocalEmbedder(chosen.model, threads=2) if chosen.model else None
    store = MemoryStore(dsn)
    rows = []
    if chosen.locomo:
        rows += await quality(store, conversations(chosen.locomo), embedder)
    if chosen.memories:
        rows += await speed.rows(store, chosen.memories, chosen.rounds)
    await store.close()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench.memory", description=__doc__)
    parser.add_argument("--locomo", type=Path, default=os.environ.get("WAGGLE_LOCOMO"))
    parser.add_argument("--model", type=Path, help="folder with model.onnx and tokenizer.json")
    parser.add_argument("--memories", type=int, default=100_000, help="of the tenant whose recalls are timed; 0: none")
    parser.add_argument("--rounds", type=int, default=300)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = start(Path(folder) / "postgres")
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                print(show(runner.run(measure(server.get_uri(DATABASE), chosen))))
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
