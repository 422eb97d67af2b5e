"""Evidence recall of LoCoMo's questions at the level of turns: no model, no judge."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.memory import Meaning, MemoryStore, Wanted, recall
from shared.memory.embedding import Embedder
from tests.bench.memory.locomo import Conversation

DEPTHS = (5, 10, 20, 50)
_RESAMPLES = 500
WITHOUT_ANSWER = 5
"""The category of questions that have no answer; they are reported apart."""


@dataclass(frozen=True, slots=True)
class Found:
    """Shares of a question's evidence in the first of what was recalled, by depth."""

    category: int
    shares: Mapping[int, float]


async def fill(store: MemoryStore, conversation: Conversation, embedder: Embedder | None) -> None:
    """Store a conversation, with vectors if there is an embedder."""
    vectors, model = None, ""
    if embedder:
        made = await embedder.embed([each.content for each in conversation.memories])
        vectors, model = dict(zip((each.id for each in conversation.memories), made, strict=True)), embedder.name
    await store.put(conversation.tenant, conversation.memories, vectors, model)


async def asked(store: MemoryStore, conversation: Conversation, embedder: Embedder | None) -> list[Found]:
    """Ask every question of a conversation."""
    deep = Wanted(most=max(DEPTHS), tokens=10**9)
    vectors = await embedder.embed([each.text for each in conversation.questions]) if embedder else []
    found = []
    for number, question in enumerate(conversation.questions):
        meaning = Meaning(embedder.name, vectors[number]) if embedder else None
        answer = await recall(store, conversation.tenant, question.text, conversation.end, meaning=meaning, wanted=deep)
        ids = [each.memory.id for each in answer]
        shares = {k: len(question.evidence.intersection(ids[:k])) / len(question.evidence) for k in DEPTHS}
        found.append(Found(question.category, shares))
    return found


def mean(found: Sequence[Found], depth: int) -> float:
    """Return the mean share over questions."""
    return sum(each.shares[depth] for each in found) / len(found)


def interval(found: Sequence[Found], depth: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean, by bootstrap with a fixed seed."""
    chance = random.Random(1)
    shares = [each.shares[depth] for each in found]
    means = sorted(sum(chance.choices(shares, k=len(shares))) / len(shares) for _ in range(_RESAMPLES))
    return means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES)]
