"""The file that WAGGLE_TOOLS names: the limits of tools, where they shall be others than are declared."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import Misconfigured
from shared.tools import Effect, Limits, Tool


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tools: dict[str, Limits] = Field(default_factory=dict)


@lru_cache(maxsize=8)
def limits_in(path: Path | None) -> Mapping[str, Limits]:
    """The limits in the file, by tool; read once in a process. Raises Misconfigured, which names the entry."""
    if path is None:
        return {}
    try:
        return _File.model_validate(tomllib.loads(path.read_text())).tools
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise Misconfigured(f"WAGGLE_TOOLS: {path} cannot be read: {wrong}") from None
    except ValidationError as wrong:
        raise Misconfigured(f"WAGGLE_TOOLS: {path}: {'; '.join(map(_said, wrong.errors()))}") from None


def check_limits(path: Path | None, tools: Iterable[Tool]) -> None:
    """Raises Misconfigured for limits that cannot be, or that one of these tools cannot have."""
    limits = limits_in(path)
    for tool in tools:
        if tool.effect is not Effect.READ and (said := limits.get(tool.name)) and said.cache_for:
            raise Misconfigured(
                f"WAGGLE_TOOLS: {path}: tools.{tool.name}.cache_for: only a tool that reads can be answered for"
            )


def _said(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{where}: there is no such entry" if error["type"] == "extra_forbidden" else f"{where}: {error['msg']}"
