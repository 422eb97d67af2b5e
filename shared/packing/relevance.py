"""Relevance of material to an objective: words in common, rare ones more, and recency. No model, no randomness."""

import math
import re
from collections import Counter
from collections.abc import Sequence

RECENCY = 0.3
"""Share of the score that the position gives; the rest is for words in common."""

LONGEST_READ = 20_000
"""Characters of a text that are compared."""

_WORD = re.compile(r"[^\W_]{3,}")


def scores(objective: str, texts: Sequence[str]) -> list[float]:
    """Return the score of each text, from 0 to 1; the texts are in order of time, the latest last."""
    wanted = _words(objective)
    found = [_words(text[:LONGEST_READ]) & wanted for text in texts]
    holders = Counter(word for words in found for word in words)
    weights = {word: math.log(1 + len(texts) / holders.get(word, 1)) for word in wanted}
    most = sum(weights[word] for word in holders) or 1.0
    return [
        (1 - RECENCY) * sum(sorted(weights[word] for word in words)) / most + RECENCY * (position + 1) / len(texts)
        for position, words in enumerate(found)
    ]


def _words(text: str) -> set[str]:
    """Return the words of a text in small letters, without endings of the plural."""
    return {word.rstrip("s") for word in map(str.lower, _WORD.findall(text))}
