"""Cleaning of text from servers before it is shown."""

import unicodedata
from typing import Any

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_KEPT = frozenset("\n\t")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f")
"""Letters and marks that render as blank."""

_DEEPEST = 64


def clean(text: str, most: int) -> str:
    """Return the text without invisible characters, such as controls, direction marks and tags.

    It is truncated to `most` characters, with a note of the original length.
    """
    seen = "".join(each for each in text.replace("\r\n", "\n") if is_seen(each))
    return seen if len(seen) <= most else f"{seen[:most]}… [cut: {len(seen):,} characters, {most:,} shown]"


def is_seen(character: str) -> bool:
    """Return True for a visible character, a line end or a tab."""
    if character in _KEPT:
        return True
    return not (
        unicodedata.category(character) in _UNSEEN or character in _BLANK or _is_variation_selector(ord(character))
    )


def _is_variation_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def clean_data(data: Any, most: int, depth: int = 0) -> Any:
    """Return JSON data with all its texts cleaned, keys included. Raises ValueError if it is nested too deeply."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    match data:
        case str():
            return clean(data, most)
        case dict():
            return {clean(str(key), most): clean_data(value, most, depth + 1) for key, value in data.items()}
        case list():
            return [clean_data(each, most, depth + 1) for each in data]
    return data
