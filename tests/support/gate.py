"""Shared steps of tests: gate."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemas.plan import Effect, Risk
from shared.authorization import (
    SEND,
    PolicyContext,
    Trusted,
    parse_gate,
    sentences,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

POLICY = parse_gate().of("default")


@dataclass(frozen=True)
class Some:
    """A tool."""

    name: str = "send_email"
    risk: Risk = Risk.HIGH
    effect: Effect = Effect.IRREVERSIBLE
    local: bool = False
    destinations: tuple[str, ...] | None = ("to",)
    asked_by: frozenset[str] = SEND
    magnitudes: dict[str, str] = field(default_factory=dict)


def trusted(*texts: str) -> Trusted:
    return Trusted(sentences(texts))


def situation(*texts: str, **known) -> PolicyContext:
    policy = known.pop("policy", POLICY)
    return PolicyContext(policy=policy, trusted=trusted(*texts), now=NOW, **known)
