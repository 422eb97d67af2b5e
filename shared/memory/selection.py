"""The last cut of a recall: near-duplicates removed, number and size bounded."""

from collections.abc import Iterable, Mapping, Sequence

from shared.memory.ranking import Ranked

SAME = 0.9
"""Share of common terms (Jaccard) from which two memories say the same."""
FEW = 4
"""Terms of a memory so short that it must agree wholly to be a duplicate."""


def distinct(ranked: Iterable[Ranked], most: int) -> list[Ranked]:
    """Return the best, of near-duplicates the better alone."""
    kept: list[Ranked] = []
    for each in ranked:
        if len(kept) == most:
            break
        if not any(similar(each.candidate.terms, other.candidate.terms) for other in kept):
            kept.append(each)
    return kept


def similar(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Return True for two sets of terms that are nearly the same."""
    small, large = sorted((len(one), len(other)))
    if not small or small < large * SAME:
        return False
    if small <= FEW:
        return one.keys() == other.keys()
    common = len(one.keys() & other.keys())
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
