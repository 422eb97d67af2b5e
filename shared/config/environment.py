"""Settings as environment variables: field `name` is read from `WAGGLE_NAME`, once, at start."""

import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

MOST_TOKENS = 100_000_000
"""Upper bound of a model's context, in tokens."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_BETWEEN = re.compile(r"\s*,\s*")
"""Separator of a list, which may be written over several lines."""
_VARIABLE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_ISOLATED = ContextVar("isolated", default=False)
"""True while settings are made from a given environment alone."""


class ServiceSettings(BaseSettings):
    """Settings of one service; lists are comma-separated, mappings `key=value` pairs.

    A service that has any subclasses it in `services/<name>/settings.py`: no other process reads its variables.
    """

    model_config = SettingsConfigDict(
        env_prefix="WAGGLE_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- signature of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments and the environment; within `settings_of` arguments alone."""
        return (init_settings,) if _ISOLATED.get() else (init_settings, env_settings)

    @field_validator("*", mode="before")
    @classmethod
    def _trimmed(cls, value: Any) -> Any:
        """Drop whitespace around a value, which files and secrets end in; refuse control characters inside it.

        The message names the variable, and never shows the value.
        """
        if isinstance(value, SecretStr):
            return SecretStr(cls._trimmed(value.get_secret_value()))
        if not isinstance(value, str):
            return value
        value = value.strip()
        if _CONTROL.search(_BETWEEN.sub(",", value)):
            raise ValueError("it holds a line break or another control character; set it again, without")
        return value


def _list(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _mapping(value: object) -> object:
    if not isinstance(value, str):
        return value
    return dict(part.strip().split("=", 1) for part in value.split(",") if "=" in part)


def _prices(value: object) -> object:
    pairs = _mapping(value)
    if not isinstance(value, str) or not isinstance(pairs, dict):
        return pairs
    return {model: tuple(price.split("/")) for model, price in pairs.items()}


Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)]
Paths: TypeAlias = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_list)]
Pairs: TypeAlias = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapping)]
Secrets: TypeAlias = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_mapping)]
Sizes: TypeAlias = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=MOST_TOKENS)]], NoDecode, BeforeValidator(_mapping)
]
Files: TypeAlias = Annotated[dict[str, Path], NoDecode, BeforeValidator(_mapping)]
Prices: TypeAlias = Annotated[dict[str, tuple[float, float]], NoDecode, BeforeValidator(_prices)]

S = TypeVar("S", bound=ServiceSettings)


def read_settings(kind: type[S]) -> S:
    """Return the settings of this process. Exits with a sentence for each variable that is wrong."""
    settings, problems = usable_settings(kind)
    if problems:
        sys.exit("\n".join(f"waggle cannot start: {problem}" for problem in problems))
    return settings


def usable_settings(kind: type[S]) -> tuple[S, list[str]]:
    """Return the settings of this process without the wrong variables, and a sentence for each of those."""
    try:
        return kind(), []
    except ValidationError as refused:
        wrong, problems = refused, wrong_settings(refused, kind)
    given = dict(os.environ)
    while True:
        given = _without(_named(wrong, kind), given)
        try:
            return settings_of(given, kind), problems
        except ValidationError as refused:
            wrong = refused
            problems += wrong_settings(refused, kind)


def _named(wrong: ValidationError, kind: type[ServiceSettings]) -> set[str]:
    """Return the variables that are wrong: of a field, or named by the message about a combination."""
    return {name for problem in wrong_settings(wrong, kind) for name in _VARIABLE.findall(problem)}


def _without(names: set[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without these variables; empty if it has none of them."""
    left = {name: value for name, value in environment.items() if name not in names}
    return left if len(left) < len(environment) else {}


def settings_of(environment: Mapping[str, str], kind: type[S]) -> S:
    """Return the settings of a process with `environment`; the variables of this process are not read."""
    variables = {name: variable(name, field) for name, field in kind.model_fields.items()}
    given: dict[str, Any] = {name: environment[each] for name, each in variables.items() if environment.get(each)}
    before = _ISOLATED.set(True)
    try:
        return kind(**given)
    finally:
        _ISOLATED.reset(before)


def wrong_settings(wrong: ValidationError, kind: type[ServiceSettings]) -> list[str]:
    """Return a sentence for each wrong variable, without the values: they may be passwords."""
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    return [_problem(error, kind) for error in errors]


def variable(name: str, field: FieldInfo) -> str:
    """Return the environment variable a field is read from."""
    choices = getattr(field.validation_alias, "choices", None)
    return str(choices[0]) if choices else f"WAGGLE_{name.upper()}"


def _problem(error: Any, kind: type[ServiceSettings]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    where = str(error["loc"][0]) if error["loc"] else ""
    name = variable(where, kind.model_fields[where]) if where in kind.model_fields else where
    return f"{name}: {message}" if name else message
