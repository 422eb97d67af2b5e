"""Time of a recall among 100,000 memories of a tenant, with other tenants' next to them, and the rate of storing."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from schemas.memory import Memory, MemoryKind, Source
from shared.memory import Meaning, MemoryStore, recall
from tests.bench.table import Row

TENANT = "large"
BATCH = 500
DIMENSIONS = 384
TARGET = 50.0
"""Milliseconds, of which 95 % must be quicker."""
MODEL = "made"
START = datetime(2026, 1, 1, tzinfo=UTC)
_VOCABULARY = 30_000
_TOPICS = 500


class Maker:
    """Made memories: words by Zipf's law, vectors around topics."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._weights = [1 / (rank + 2) for rank in range(_VOCABULARY)]
        self._words = [self._word(number) for number in range(_VOCABULARY)]
        self._cumulated = _cumulated(self._weights)
        self._normal = np.random.default_rng(seed)
        self._centres = self._normal.normal(0, 1, (_TOPICS, DIMENSIONS))

    def _word(self, number: int) -> str:
        syllables = ("ba", "ko", "ri", "ten", "su", "mo", "la", "vi", "pu", "gar")
        return "".join(syllables[int(digit)] for digit in f"{number:05d}")

    def text(self, words: int) -> str:
        """Return words as frequent as in a language."""
        return " ".join(self.chance.choices(self._words, cum_weights=self._cumulated, k=words))

    def memory(self, tenant: str, number: int) -> Memory:
        """Return one of twenty turns of a session."""
        return Memory(
            tenant=tenant,
            kind=MemoryKind.EPISODIC,
            content=f"Person{number % 7}: {self.text(self.chance.randint(8, 40))}",
            sources=[Source(topic="made", offset=number)],
            created=START + timedelta(minutes=number),
            subject=f"Person{number % 7}",
            session=str(number // 20),
            position=number % 20,
        )

    def vector(self) -> list[float]:
        """Return a point near the centre of a topic."""
        centre = self._centres[self.chance.randrange(_TOPICS)]
        return (centre + self._normal.normal(0, 0.7, DIMENSIONS)).tolist()


def _cumulated(weights: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for each in weights:
        total += each
        sums.append(total)
    return sums


async def rows(store: MemoryStore, memories: int, rounds: int) -> list[Row]:
    """Fill the store and time recalls by words alone and with vectors."""
    maker = Maker(1)
    for number in range(5):
        await _fill(store, maker, f"other-{number}", memories // 20)
    took = await _fill(store, maker, TENANT, memories)
    found = [Row("memories stored a second, without vectors", memories / took, "/s")]
    found += await _timed(store, maker, memories, rounds, vectors=False)
    if await store.door.has_vectors():
        started = time.perf_counter()
        ids = [each.id for each in (maker.memory(TENANT, number) for number in range(memories))]
        for start in range(0, memories, BATCH):
            await store.embed(TENANT, MODEL, {id: maker.vector() for id in ids[start : start + BATCH]})
        found.append(Row("vectors stored a second", memories / (time.perf_counter() - started), "/s"))
        started = time.perf_counter()
        await store.tune(TENANT, MODEL)
        found.append(Row("index of the vectors built in", time.perf_counter() - started, "s"))
        found += await _timed(store, maker, memories, rounds, vectors=True)
    return found


async def _fill(store: MemoryStore, maker: Maker, tenant: str, memories: int) -> float:
    spent = 0.0
    for start in range(0, memories, BATCH):
        batch = [maker.memory(tenant, number) for number in range(start, min(start + BATCH, memories))]
        started = time.perf_counter()
        await store.put(tenant, batch)
        spent += time.perf_counter() - started
    return spent


async def _timed(store: MemoryStore, maker: Maker, memories: int, rounds: int, *, vectors: bool) -> list[Row]:
    now = START + timedelta(minutes=memories)
    times = []
    for number in range(rounds + 20):
        text = f"Person{number % 7} {maker.text(maker.chance.randint(2, 10))}"
        meaning = Meaning(MODEL, maker.vector()) if vectors else None
        started = time.perf_counter()
        await recall(store, TENANT, text, now, meaning=meaning)
        times.append(1000 * (time.perf_counter() - started))
    times = sorted(times[20:])
    p95 = times[int(0.95 * len(times))]
    how = "text and vectors" if vectors else "text alone"
    note = f"median {times[len(times) // 2]:.1f}, p99 {times[int(0.99 * len(times))]:.1f}"
    return [
        Row(
            f"recall among {memories:,} memories of a tenant, {how}, p95",
            p95,
            "ms",
            target=f"≤ {TARGET:.0f}",
            reached=p95 <= TARGET,
            note=note,
        )
    ]
