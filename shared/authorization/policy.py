"""Policy of the gate: one table, safe by default, with overrides by the operator and per tenant."""

from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Slug
from schemas.plan import Effect, Risk
from shared.authorization.questions import Approvals, QuestionRule, QuestionTerms, Subject, terms_of
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


class ToolRules(Strict):
    """Policy for one tool."""

    risk: Risk | None = None
    destinations: tuple[str, ...] = ()


class Plans(Strict):
    """Plans that need an approval before any of their steps runs."""

    ask: tuple[Risk, ...]
    """Risks of a step with which a plan does."""


class Policy(Strict):
    """Policy for one tenant."""

    destinations: tuple[str, ...]
    links: Literal["site", "any"]
    risk: dict[Risk, Consequence]
    confidence: dict[Effect, float]
    thresholds: Thresholds
    approvals: Approvals
    plans: Plans
    questions: tuple[QuestionRule, ...] = Field((), max_length=500)
    tools: dict[str, ToolRules] = Field(default_factory=dict)

    def rules_of(self, tool: str) -> ToolRules:
        """Return the policy for a tool."""
        return self.tools.get(tool, ToolRules())

    def terms_of(self, subject: Subject) -> QuestionTerms:
        """Return the terms of a question."""
        return terms_of(subject, self.questions, self.approvals)


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
        return {name for policy in self._all for name in policy.tools}

    @property
    def groups(self) -> set[str]:
        """Return every group of people that its rules ask."""
        rules = [rule for policy in self._all for rule in policy.questions]
        return {name for rule in rules for stage in rule.stages for name in stage.groups} | {
            name for rule in rules for name in rule.escalate_to
        }

    @property
    def special(self) -> tuple[str, ...]:
        """Return the tenants with a policy of their own."""
        return tuple(self._special)

    @property
    def _all(self) -> tuple[Policy, ...]:
        return (self._general, *self._special.values())

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
