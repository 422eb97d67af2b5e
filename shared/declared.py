"""What operators declare in TOML files, read strictly: a misspelt entry is refused, by its name."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class InvalidFile(ValueError):
    """The file cannot be used; the message says which entry is wrong and what it may be."""


class Strict(BaseModel):
    """A table in such a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


T = TypeVar("T", bound=Strict)


def read_declared(path: Path, kind: type[T]) -> T:
    """What the file holds. Raises InvalidFile."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text()))
    except OSError as unreadable:
        raise InvalidFile(f"{path} cannot be read: {unreadable.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise InvalidFile(f"{path} is not TOML: {wrong}") from None
    except ValidationError as wrong:
        raise InvalidFile(f"{path}: {problems_of(wrong)}") from None


def problems_of(wrong: ValidationError) -> str:
    """What is wrong, entry by entry, without the values."""
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {_said(each)}" for each in wrong.errors())


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such entry"
    return str(error["msg"]).removeprefix("Value error, ")
