"""The file that WAGGLE_TOOLS names: the limits of tools, where they shall be others than are declared."""

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
    """The limits in the file, by tool; read once in a process. Raises Misconfigured, which names the entry."""
    return read_toml(path, _File, _VARIABLE).tools if path else {}


def check_limits(path: Path | None, tools: Iterable[Tool]) -> None:
    """Raises Misconfigured for limits that cannot be, or that one of these tools cannot have."""
    limits = limits_in(path)
    for tool in tools:
        if tool.effect is not Effect.READ and (said := limits.get(tool.name)) and said.cache_for:
            raise Misconfigured(
                f"{_VARIABLE}: {path}: tools.{tool.name}.cache_for: only a tool that reads can be answered for"
            )
