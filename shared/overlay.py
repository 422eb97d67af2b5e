"""Tables in TOML: what is shipped, an operator's own over it, entry by entry."""

import tomllib
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.declared import problems_of

T = TypeVar("T", bound=BaseModel)


class InvalidTable(ValueError):
    """The table cannot be used; the message says which entry is wrong and what it may be."""


def parsed(text: str, what: str) -> dict[str, Any]:
    """The table in some TOML; `what` names it where it is none. Raises InvalidTable."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise InvalidTable(f"the {what} are not TOML: {wrong}") from wrong


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both tables as one: what both have is taken from `over`, but tables in them are merged in turn."""
    shared = {name for name in under.keys() & over.keys() if all(isinstance(t[name], dict) for t in (under, over))}
    return {**under, **over, **{name: merged(under[name], over[name]) for name in shared}}


def validated(kind: type[T], table: dict[str, Any]) -> T:
    """The table as its type. Raises InvalidTable, without the values."""
    try:
        return kind.model_validate(table)
    except ValidationError as wrong:
        raise InvalidTable(problems_of(wrong)) from None
