"""The last cut of a recall: near-duplicates removed, number and size bounded."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from shared.memory.ranking import Ranked
from shared.memory.terms import terms_of

SAME = 0.9
"""Share of common terms (Jaccard) from which two memories say the same."""
FEW = 4
"""Terms of a memory so short that it must agree wholly to be a duplicate."""


def distinct(ranked: Iterable[Ranked], most: int) -> list[Ranked]:
    """Return the best, of near-duplicates the better alone."""
    kept: list[Ranked] = []
    seen: list[frozenset[str]] = []
    for each in ranked:
        if len(kept) == most:
            break
        found = frozenset(terms_of(each.candidate.terms))
        if not any(similar(found, other) for other in seen):
            kept.append(each)
            seen.append(found)
    return kept


def similar(one: AbstractSet[str], other: AbstractSet[str]) -> bool:
    """Return True for two sets of terms that are nearly the same."""
    small, large = sorted((len(one), len(other)))
    if not small or small < large * SAME:
        return False
    if small <= FEW:
        return one == other
    common = len(one & other)
    return common / (small + large - common) >= SAME


def estimated_tokens(text: str) -> int:
    """Return an estimate of the tokens of a text: four bytes each."""
    return -(-len(text.encode()) // 4)


def within(texts: Sequence[str], tokens: int) -> int:
    """Return how many of the first texts fit together."""
    total = 0
    for number, text in enumerate(texts):
        total += estimated_tokens(text)
        if total > tokens:
            return number
    return len(texts)
