"""Strict reading of the TOML files operators write: an unknown or wrong entry is refused by its name.

Every function raises Misconfigured; the message says which entry is wrong, never the value, which may be a secret.
"""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import Misconfigured


class Strict(BaseModel):
    """A table in such a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


T = TypeVar("T", bound=Strict)


def read_toml(path: Path, kind: type[T], variable: str) -> T:
    """Return the file's content as `kind`; `variable` is the setting that names the file."""
    where = f"{variable}: {path}"
    return validated(kind, parsed(file_text(path, variable), where), where)


def file_text(path: Path, variable: str) -> str:
    """Return the text of the file that `variable` names."""
    try:
        return path.read_text()
    except OSError as unreadable:
        raise Misconfigured(f"{variable}: {path} cannot be read: {unreadable.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise Misconfigured(f"{variable}: {path} cannot be read: {wrong.reason}") from None


def parsed(text: str, where: str) -> dict[str, Any]:
    """Return the table in some TOML; `where` begins the message of a failure."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise Misconfigured(f"{where} is not TOML: {wrong}") from None


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return both tables as one: `over` wins, and tables that both have are merged in turn."""
    shared = {name for name in under.keys() & over.keys() if all(isinstance(t[name], dict) for t in (under, over))}
    return {**under, **over, **{name: merged(under[name], over[name]) for name in shared}}


def validated(kind: type[T], table: dict[str, Any], where: str) -> T:
    """Return the table as `kind`; `where` begins the message of a failure."""
    try:
        return kind.model_validate(table)
    except ValidationError as wrong:
        raise Misconfigured(f"{where}: {_problems(wrong)}") from None


def _problems(wrong: ValidationError) -> str:
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {_problem(each)}" for each in errors)


def _problem(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such entry"
    return str(error["msg"]).removeprefix("Value error, ")
