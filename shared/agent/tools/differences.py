"""Differences between two JSON values, as lines of text for people."""

import json
from collections.abc import Iterator
from itertools import takewhile, zip_longest
from typing import Any

LONGEST_VALUE = 100
"""Characters of a value in a line."""

_BEFORE = 20
"""Characters of a long text that are shown before its first difference."""

_DEEPEST = 50
"""Levels that are compared one by one; what lies deeper is one value."""

_ABSENT = object()


def differences(before: Any, after: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Yield a line for each value that was added, removed or changed, with its path."""
    shallow = depth < _DEEPEST
    if shallow and isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(before.get(name, _ABSENT), after.get(name, _ABSENT), inner, depth + 1)
    elif shallow and isinstance(before, list) and isinstance(after, list):
        pairs = zip_longest(before, after, fillvalue=_ABSENT)
        for index, (old, new) in enumerate(pairs):
            yield from differences(old, new, f"{path}[{index}]", depth + 1)
    elif not _equal(before, after):
        yield f"{path}: {_change(before, after)}" if path else _change(before, after)


def _equal(before: Any, after: Any) -> bool:
    """Return True for equal JSON values: `true` is not 1, and 1 is 1.0."""
    return bool(before == after) and isinstance(before, bool) == isinstance(after, bool)


def _change(before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"added: {_shown(after)}"
    if after is _ABSENT:
        return f"removed: {_shown(before)}"
    start = 0
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONGEST_VALUE:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
        start = max(0, sum(1 for _ in same) - _BEFORE)
    return f"{_shown(before, start)} → {_shown(after, start)}"


def _shown(value: Any, start: int = 0) -> str:
    """Return a value as JSON, cut; a text from `start` on."""
    if isinstance(value, str):
        value = f"{'…' if start else ''}{value[start : start + LONGEST_VALUE + 1]}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
