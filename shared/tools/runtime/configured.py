"""The file WAGGLE_TOOLS names: limits of tools that override the declared ones."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from shared.config import Strict, read_toml
from shared.errors import Misconfigured
from shared.tools import Effect, Limits, Tool

_VARIABLE = "WAGGLE_TOOLS"


class _File(Strict):
    tools: dict[str, Limits] = Field(default_factory=dict)


@lru_cache(maxsize=8)
def limits_in(path: Path | None) -> Mapping[str, Limits]:
    """Return the limits in the file by tool; read once per process. Raises Misconfigured that names the entry."""
    return read_toml(path, _File, _VARIABLE).tools if path else {}


def check_limits(path: Path | None, tools: Iterable[Tool]) -> None:
    """Raise Misconfigured for limits that are invalid or do not apply to one of these tools."""
    limits = limits_in(path)
    for tool in tools:
        if tool.effect is not Effect.READ and (own := limits.get(tool.name)) and own.cache_for:
            raise Misconfigured(
                f"{_VARIABLE}: {path}: tools.{tool.name}.cache_for: only results of a tool that reads can be cached"
            )
