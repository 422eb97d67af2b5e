"""Unwanted words and expressions, from the operator's lists."""

import re
from collections.abc import Sequence
from functools import lru_cache

from shared.guardrails.finding import Finding, FindingKind


def listed(text: str, kind: FindingKind, words: Sequence[str], patterns: Sequence[str]) -> list[Finding]:
    """Find the words, whole and in any case, and matches of the regular expressions."""
    if not words and not patterns:
        return []
    found = _compiled(tuple(words), tuple(patterns)).finditer(text)
    return [Finding(*match.span(), kind, 1.0, "is on the list") for match in found if match.group()]


@lru_cache(maxsize=64)
def _compiled(words: tuple[str, ...], patterns: tuple[str, ...]) -> re.Pattern[str]:
    whole = [rf"(?<!\w){re.escape(word)}(?!\w)" for word in words]
    return re.compile("|".join([*whole, *(f"(?:{pattern})" for pattern in patterns)]), re.IGNORECASE)
