"""Faults that validation finds, in plain words with an example: for people who write a task, an order or a payload."""

import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

_WORDS: Final[Mapping[str, str]] = {
    "missing": "this is required",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_from_float": "a whole number such as 20",
    "int_parsing": "a whole number such as 20",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number such as 20",
    "float_parsing": "a number such as 0.5",
    "float_type": "a number such as 0.5",
    "finite_number": "a number such as 0.5, within bounds",
    "string_type": "a text, in quotation marks in JSON",
    "list_type": 'a list such as ["one", "two"]',
    "dict_type": 'an object such as {"region": "north"}',
    "model_type": 'an object such as {"region": "north"}',
    "model_attributes_type": 'an object such as {"region": "north"}',
    "timezone_aware": "a date and time with its zone, such as 2026-12-01 17:00Z",
}
"""Words by the type of an error; those of the schema for any other."""

_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_SLUG = "lower-case letters, digits, `.`, `_` and `-` only, at most 64, such as daily-report"
_PATTERNS: Final[Mapping[str, str]] = {
    r"^[a-z0-9][a-z0-9._-]{0,63}$": _SLUG,
    r"^[\x21-\x7e]+$": "printable ASCII characters without spaces, such as order-17",
}


def faults(wrong: ValidationError, kind: type[BaseModel] | None = None) -> list[str]:
    """Return the faults as `<field>: <words>`; `kind` names the fields that there are. No value is repeated."""
    return [fault_line(error, kind) for error in wrong.errors(include_url=False)]


def fault_line(error: Mapping[str, Any], kind: type[BaseModel] | None = None, root: str = "payload") -> str:
    """Return a fault with the path of its field; `root` if it is about no single field."""
    said, place = in_words(error, kind), ".".join(map(str, error["loc"]))
    return said if error.get("type") == "extra_forbidden" else f"{place or root}: {said}"


def in_words(error: Mapping[str, Any], kind: type[BaseModel] | None = None) -> str:
    """Return a fault in words."""
    fault, about = str(error.get("type", "")), error.get("ctx") or {}
    if fault == "extra_forbidden":
        return _unknown(error["loc"], kind)
    if fault in _BOUNDS:
        words, bound = _BOUNDS[fault]
        return f"{words} {about[bound]:,}" if isinstance(about[bound], int | float) else f"{words} {about[bound]}"
    if fault in {"enum", "literal_error"}:
        return f"one of {about['expected']}"
    if fault.startswith("datetime_"):
        return "a date and time such as 2026-12-01 17:00Z"
    return _WORDS.get(fault) or _of_text(fault, about) or str(error["msg"]).removeprefix("Value error, ")


def _of_text(fault: str, about: Mapping[str, Any]) -> str | None:
    """Return the words for a text, or a list, of a wrong length or form."""
    if fault == "string_pattern_mismatch":
        return _PATTERNS.get(about["pattern"], f"it must match the pattern {about['pattern']}")
    found = re.fullmatch(r"(string_)?too_(short|long)", fault)
    if not found:
        return None
    short = found[2] == "short"
    number = about["min_length" if short else "max_length"]
    if short and number == 1:
        return "it must not be empty"
    unit = ("character" if number == 1 else "characters") if found[1] else ("entry" if number == 1 else "entries")
    return f"at {'least' if short else 'most'} {number:,} {unit}"


def _unknown(place: Sequence[int | str], kind: type[BaseModel] | None) -> str:
    *before, name = place
    near = difflib.get_close_matches(str(name), _fields(kind, before), 1)
    inside = f" in `{'.'.join(map(str, before))}`" if before else ""
    return f"unknown field `{name}`{inside}" + (f": did you mean `{near[0]}`?" if near else "")


def _fields(kind: type[BaseModel] | None, place: Sequence[int | str]) -> list[str]:
    """Return the fields of the model at a place; none if that is not certain."""
    for part in place:
        if isinstance(part, str) and kind is not None:
            known = kind.model_fields.get(part)
            kind = next(_models(known.annotation), None) if known else None
    return list(kind.model_fields) if kind else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)
