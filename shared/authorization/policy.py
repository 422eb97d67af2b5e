"""What the gate does: one table, safe by default, overridden by an operator and per tenant."""

from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Slug
from schemas.plan import Effect, Risk
from shared.config import Strict, file_text, merged, parsed, validated
from shared.errors import Misconfigured

_VARIABLE = "WAGGLE_GATE"


class Consequence(StrEnum):
    """What a risk leads to."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Thresholds(Strict):
    """How much a call may move before it counts as one risk higher."""

    recipients: int = Field(ge=0)
    rows: int = Field(ge=0)
    money: float = Field(ge=0)


LONGEST_WAIT = 29 * 86_400
"""Seconds: a run that waits must be found whole in `runs.log`, which is kept for 30 days (infra/topics.toml)."""


class Approvals(Strict):
    """How long people are waited for, and how long what they permit may be done. Seconds."""

    expires: float = Field(gt=0, le=LONGEST_WAIT)
    usable: float = Field(gt=0, le=2_592_000)


class ToolRules(Strict):
    """What holds for one tool."""

    risk: Risk | None = None
    destinations: tuple[str, ...] = ()


class Policy(Strict):
    """The table for one tenant."""

    destinations: tuple[str, ...]
    links: Literal["site", "any"]
    risk: dict[Risk, Consequence]
    confidence: dict[Effect, float]
    thresholds: Thresholds
    approvals: Approvals
    tools: dict[str, ToolRules] = Field(default_factory=dict)

    def rules_of(self, tool: str) -> ToolRules:
        """What is said of a tool."""
        return self.tools.get(tool, ToolRules())


def parse_gate(text: str = "") -> "Policies":
    """The shipped table with an operator's TOML over it. Raises Misconfigured."""
    table = merged(_shipped(), parsed(text, _VARIABLE))
    special = table.pop("tenants", {})
    if not isinstance(special, dict) or not all(isinstance(each, dict) for each in special.values()):
        raise Misconfigured(f"{_VARIABLE}: tenants: a table for each tenant, such as [tenants.acme.risk]")
    policies = {_slug(name): _special(name, table, special[name]) for name in special}
    return Policies(validated(Policy, table, _VARIABLE), policies)


@lru_cache(maxsize=8)
def read_gate(path: Path | None) -> "Policies":
    """The table in a file, over the shipped one; read once in a process. Raises Misconfigured."""
    return parse_gate(file_text(path, _VARIABLE) if path else "")


class Policies:
    """The tables of all tenants."""

    def __init__(self, general: Policy, special: dict[str, Policy]) -> None:
        self._general = general
        self._special = special

    @property
    def tools(self) -> set[str]:
        """Every tool that is named in it."""
        return {name for policy in (self._general, *self._special.values()) for name in policy.tools}

    def of(self, tenant: str) -> Policy:
        """The table that holds for a tenant."""
        return self._special.get(tenant, self._general)


def _shipped() -> dict[str, Any]:
    return parsed(files("shared.authorization").joinpath("gate.toml").read_text(), _VARIABLE)


def _special(name: str, table: dict[str, Any], over: dict[str, Any]) -> Policy:
    return validated(Policy, merged(table, over), f"{_VARIABLE}: tenants.{name}")


def _slug(name: str) -> str:
    try:
        return str(TypeAdapter(Slug).validate_python(name))
    except ValueError:
        raise Misconfigured(f"{_VARIABLE}: tenants.{name}: no tenant can have that name") from None
