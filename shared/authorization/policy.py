"""Policy of the gate: one table, safe by default, with overrides by the operator and per tenant."""

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
    """Consequence of a risk."""

    ALLOW = "allow"
    NOTIFY = "notify"
    """Allowed; people are notified of a call that acts outside the run."""
    ASK = "ask"
    BLOCK = "block"
    """As `ASK`; until a person has answered, nothing more of the run is started."""
    DENY = "deny"


class Thresholds(Strict):
    """Amounts above which a call counts as one risk higher."""

    recipients: int = Field(ge=0)
    rows: int = Field(ge=0)
    money: float = Field(ge=0)


LONGEST_WAIT = 29 * 86_400
"""Seconds: a waiting run must be complete in `runs.log`, which is kept for 30 days (infra/topics.toml)."""


class Approvals(Strict):
    """Expiry of approval requests and of approvals, in seconds."""

    expires: float = Field(gt=0, le=LONGEST_WAIT)
    usable: float = Field(gt=0, le=2_592_000)


class ToolRules(Strict):
    """Policy for one tool."""

    risk: Risk | None = None
    destinations: tuple[str, ...] = ()


class Policy(Strict):
    """Policy for one tenant."""

    destinations: tuple[str, ...]
    links: Literal["site", "any"]
    risk: dict[Risk, Consequence]
    confidence: dict[Effect, float]
    thresholds: Thresholds
    approvals: Approvals
    tools: dict[str, ToolRules] = Field(default_factory=dict)

    def rules_of(self, tool: str) -> ToolRules:
        """Return the policy for a tool."""
        return self.tools.get(tool, ToolRules())


def parse_gate(text: str = "") -> "Policies":
    """Parse an operator's TOML over the shipped table. Raises Misconfigured."""
    table = merged(_shipped(), parsed(text, _VARIABLE))
    special = table.pop("tenants", {})
    if not isinstance(special, dict) or not all(isinstance(each, dict) for each in special.values()):
        raise Misconfigured(f"{_VARIABLE}: tenants: a table for each tenant, such as [tenants.acme.risk]")
    policies = {_slug(name): _special(name, table, special[name]) for name in special}
    return Policies(validated(Policy, table, _VARIABLE), policies)


@lru_cache(maxsize=8)
def read_gate(path: Path | None) -> "Policies":
    """Read an operator's file over the shipped table, once per process. Raises Misconfigured."""
    return parse_gate(file_text(path, _VARIABLE) if path else "")


class Policies:
    """Policies of all tenants."""

    def __init__(self, general: Policy, special: dict[str, Policy]) -> None:
        self._general = general
        self._special = special

    @property
    def tools(self) -> set[str]:
        """Return the name of every tool mentioned in it."""
        return {name for policy in (self._general, *self._special.values()) for name in policy.tools}

    def of(self, tenant: str) -> Policy:
        """Return the policy of a tenant."""
        return self._special.get(tenant, self._general)


def _shipped() -> dict[str, Any]:
    return parsed(files("shared.authorization").joinpath("gate.toml").read_text(), _VARIABLE)


def _special(name: str, table: dict[str, Any], over: dict[str, Any]) -> Policy:
    return validated(Policy, merged(table, over), f"{_VARIABLE}: tenants.{name}")


def _slug(name: str) -> str:
    try:
        return str(TypeAdapter(Slug).validate_python(name))
    except ValueError:
        raise Misconfigured(f"{_VARIABLE}: tenants.{name}: not a valid tenant name") from None
