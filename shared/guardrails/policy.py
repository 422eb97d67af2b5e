"""Policy of the guardrails: one table, safe by default, with overrides by the operator and per tenant."""

import re
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from schemas.message import Slug
from shared.config import Strict, file_text, merged, parsed, validated
from shared.guardrails.finding import FindingKind

_VARIABLE = "WAGGLE_GUARDRAILS"


class GuardrailAction(StrEnum):
    """Actions, from the mildest to the strictest."""

    ALLOW = "allow"
    MARK = "mark"
    REDACT = "redact"
    ASK = "ask"
    REJECT = "reject"

    @property
    def severity(self) -> int:
        """Rank; higher is stricter."""
        return list(GuardrailAction).index(self)


Side: TypeAlias = Literal["input", "output"]
Actions: TypeAlias = dict[FindingKind, GuardrailAction]


class WordList(Strict):
    """Words, matched whole and case-insensitively, and regular expressions."""

    words: list[str] = Field(default_factory=list, max_length=5_000)
    patterns: list[str] = Field(default_factory=list, max_length=500)

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as wrong:
                raise ValueError(f"`{pattern}` is not a regular expression: {wrong}") from None
        return patterns


class Lists(Strict):
    """Word lists."""

    abuse: WordList = WordList()
    out_of_scope: WordList = WordList()


class Sides(Strict):
    """Actions on input and on output."""

    input: Actions = Field(default_factory=dict)
    output: Actions = Field(default_factory=dict)

    @field_validator("output")
    @classmethod
    def _nobody_is_asked(cls, actions: Actions) -> Actions:
        asked = [kind.value for kind, action in actions.items() if action is GuardrailAction.ASK]
        if asked:
            raise ValueError(
                f"`ask` is not allowed for outputs ({', '.join(asked)}); use allow, mark, redact or reject"
            )
        return actions


class CheckPolicy(Strict):
    """Settings of the model check: an additional verdict by the model of the role `judge`."""

    task: bool = False
    results: bool = False
    actions: bool = False
    unavailable: Literal["allow", "ask", "block"] = "ask"
    seconds: float = Field(15.0, ge=0.1, le=120)


class TenantSides(Sides):
    """Overrides for one tenant."""

    check: CheckPolicy = CheckPolicy()


class GuardrailPolicy(Sides):
    """The complete policy."""

    phone_regions: tuple[str, ...] = ()
    words: Lists = Lists()
    check: CheckPolicy = CheckPolicy()
    tenants: dict[Slug, TenantSides] = Field(default_factory=dict)

    @field_validator("phone_regions")
    @classmethod
    def _known(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415 -- slow to import

        unknown = [region for region in regions if region not in SUPPORTED_REGIONS]
        if unknown:
            raise ValueError(f"unknown region {', '.join(unknown)}; use ISO 3166 codes such as DE")
        return regions

    def action(self, kind: FindingKind, side: Side, tenant: str) -> GuardrailAction:
        """Return the action for a finding of this kind."""
        special: Actions = getattr(self.tenants.get(tenant), side, {})
        general: Actions = getattr(self, side)
        return special.get(kind) or general.get(kind, GuardrailAction.MARK)

    def check_of(self, tenant: str) -> CheckPolicy:
        """Return the settings of the model check for a tenant."""
        special = self.tenants.get(tenant)
        return self.check.model_copy(update=special.check.model_dump(exclude_unset=True)) if special else self.check

    def wanted(self, side: Side, tenant: str) -> frozenset[FindingKind]:
        """Return the kinds with an action other than allow."""
        return frozenset(kind for kind in FindingKind if self.action(kind, side, tenant) is not GuardrailAction.ALLOW)


def parse_policy(text: str = "") -> GuardrailPolicy:
    """Parse an operator's TOML over the shipped policy. Raises Misconfigured."""
    return validated(GuardrailPolicy, merged(_shipped(), parsed(text, _VARIABLE)), _VARIABLE)


@lru_cache(maxsize=8)
def read_policy(path: Path | None) -> GuardrailPolicy:
    """Read an operator's file over the shipped policy, once per process. Raises Misconfigured."""
    return parse_policy(file_text(path, _VARIABLE) if path else "")


def _shipped() -> dict[str, Any]:
    return parsed(files("shared.guardrails").joinpath("guardrails.toml").read_text(), _VARIABLE)
