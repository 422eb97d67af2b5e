"""Freshness: a memory counts for so long, by its kind; an old one is to be verified before use, a stale one is refused.

No I/O. Age counts from the time at which a trusted source last said that it holds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from schemas.memory import Memory, MemoryKind, Recalled, age_text
from schemas.message import Text


class Standing(StrEnum):
    """Standing of a memory at its age."""

    FRESH = "fresh"
    OLD = "old"
    """To be verified before use."""
    STALE = "stale"
    """Not shown: refused, with its age."""


class Limits(NamedTuple):
    """Ages from which a memory is old, and stale."""

    old: timedelta
    stale: timedelta


LIMITS: Mapping[MemoryKind, Limits] = {
    MemoryKind.SEMANTIC: Limits(timedelta(days=90), timedelta(days=365)),
    MemoryKind.PROCEDURAL: Limits(timedelta(days=180), timedelta(days=730)),
}
"""Facts change sooner than ways of working. An event happened: it has no limits."""


def age_of(memory: Memory, now: datetime) -> timedelta:
    """Return the time since a trusted source last said that it holds, or since its source."""
    return max(timedelta(), now - max(memory.created, memory.confirmed or memory.created))


def standing_of(memory: Memory, now: datetime) -> Standing:
    """Return the standing of a memory. One that a person pinned is never stale."""
    limits, age = LIMITS.get(memory.kind), age_of(memory, now)
    if limits is None or age < limits.old:
        return Standing.FRESH
    return Standing.OLD if age < limits.stale or memory.pinned else Standing.STALE


def text_for_model(found: Recalled, now: datetime) -> Text:
    """Return a recalled memory as text for a model: an old one with a warning, of a stale one the refusal alone."""
    age = age_text(age_of(found.memory, now).total_seconds())
    match standing_of(found.memory, now):
        case Standing.FRESH:
            return found.shown()
        case Standing.OLD:
            return f"[old: last confirmed {age} ago, verify before use] {found.shown()}"
        case Standing.STALE:
            limit = age_text(LIMITS[found.memory.kind].stale.total_seconds())
            kind = found.memory.kind
            return f"[a {kind} memory was refused: {age} old, its limit is {limit}; ask or look it up]"
