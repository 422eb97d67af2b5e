"""Memories of a test, found by words in common with the question."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from schemas.memory import Memory, MemoryKind, Recalled, Source
from shared.agent.memory import Asked, Found
from shared.llm import Spending
from shared.memory.terms import query_terms, terms


def memory(
    content: str, *, kind: MemoryKind | str = MemoryKind.EPISODIC, taint: Sequence[str] = (), days: float = 1.0
) -> Memory:
    """Script a memory. `taint`: its untrusted origins, such as `page:HOST/…`; `days`: its age."""
    number = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
    return Memory(
        kind=MemoryKind(kind),
        content=content,
        sources=[Source(topic="runs.log", offset=number)],
        created=datetime.now(UTC) - timedelta(days=days),
        taint=list(taint),
        run="run-before",
    )


@dataclass(slots=True)
class ScriptedMemories:
    """The memories of a test, of every tenant. Those that share a word with the question are found."""

    memories: Sequence[Memory]
    counted: list[str] = field(default_factory=list)
    """Ids of the memories that were shown, in order."""

    async def any(self, tenant: str) -> bool:
        """Return True if there are memories."""
        return bool(self.memories)

    async def recall(self, tenant: str, asked: Asked, spending: Spending) -> Found:
        """Return the memories that share a word with the question, those with most first."""
        wanted, now = set(query_terms(asked.text)), datetime.now(UTC)
        kept = [each for each in self.memories if not each.candidate and each.kind in (asked.kinds or MemoryKind)]
        common = {each.id: len(wanted & set(terms(each.content))) for each in kept}
        best = sorted((each for each in kept if common[each.id]), key=lambda each: -common[each.id])
        return Found([_recalled(each, common[each.id], now) for each in best[: asked.most]])

    async def used(self, tenant: str, ids: Sequence[str]) -> None:
        """Count a use of each of these memories."""
        self.counted += ids


def _recalled(each: Memory, score: int, now: datetime) -> Recalled:
    return Recalled(memory=each, score=score, found_by=["text"], age_seconds=(now - each.created).total_seconds())
