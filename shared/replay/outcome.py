"""Outcome of deciding something again."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

_LONGEST = 160
"""Characters of a value that are shown."""


class Outcome(StrEnum):
    """Outcome of one replayed decision."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """Not decided again: the logs no longer have what it was decided on."""


class Difference(NamedTuple):
    """One difference from the record."""

    what: str
    """Kind: `event`, `sent`, `prompt`, `tool`, `verdict`, `plan`, `answer`, `tokens` or `cost`."""
    where: str
    """Place: the event's type and field, or the place of the call in the work."""
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"{self.what} {self.where}: recorded {shown(self.recorded)}, replayed {shown(self.replayed)}"


def differing(recorded: Any, replayed: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost differing values of two JSON values, each with its path."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in dict.fromkeys([*recorded, *replayed]):
            yield from differing(recorded.get(name), replayed.get(name), f"{where}.{name}" if where else name)
    elif isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
        for number, (one, other) in enumerate(zip(recorded, replayed, strict=True)):
            yield from differing(one, other, f"{where}[{number}]")
    elif recorded != replayed:
        yield where, recorded, replayed


def shown(value: Any) -> str:
    """Return a value as text, cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
