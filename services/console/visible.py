"""Text from models, tools and files, made visible as it is: nothing in it is hidden or turned around."""

import unicodedata
from typing import Any

from markupsafe import Markup

_KEPT = frozenset("\n\t")
"""Controls that a page shows as white space."""

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that have no shape of their own, or change that of others."""

_UNASSIGNED_SHAPE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters of other categories that look like nothing: fillers and joiners."""


def visible(text: str) -> str:
    """Return the text with each invisible character as its code point, such as ⟦U+202E⟧. Lines and tabs are kept."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟦U+{ord(each):04X}⟧" if is_hidden(each) else each for each in text.replace("\r\n", "\n"))


def is_hidden(character: str) -> bool:
    """Return True for a character that has no shape of its own, or changes that of others."""
    if character in _KEPT:
        return False
    return unicodedata.category(character) in _HIDDEN or character in _UNASSIGNED_SHAPE or _selects(character)


def _selects(character: str) -> bool:
    """Return True for variation selectors, which can carry bytes; the one of emoji is kept."""
    return "\ufe00" <= character <= "\ufe0e" or "\U000e0100" <= character <= "\U000e01ef"


def shown(value: Any) -> Any:
    """Return what a template prints for a value: markup of our own as it is, anything else as visible text."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(str(value))
