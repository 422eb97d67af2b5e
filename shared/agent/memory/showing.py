"""Memories cut to the size that an agent is shown."""

from collections.abc import Sequence
from datetime import datetime

from schemas.memory import Recalled, Remembered
from shared.memory.freshness import text_for_model
from shared.memory.selection import estimated_tokens


def remembered(found: Sequence[Recalled], now: datetime, *, longest: int, room: int) -> list[Remembered]:
    """Return the best memories that fit in so many tokens together, each with `longest` characters of its content."""
    shown = list[Remembered]()
    for each in found:
        one = _remembered(each, now, longest)
        size = estimated_tokens(one.text)
        if size <= room:
            room -= size
            shown.append(one)
    return shown


def _remembered(found: Recalled, now: datetime, longest: int) -> Remembered:
    memory = found.memory
    if len(memory.content) > longest:
        short = memory.model_copy(update={"content": f"{memory.content[: longest - 1].rstrip()}…"})
        found = found.model_copy(update={"memory": short})
    text = text_for_model(found, now)
    return Remembered(id=memory.id, kind=memory.kind, created=memory.created, text=text, taint=memory.taint)
