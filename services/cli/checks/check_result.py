"""What one check came to."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    level: Level
    subject: str
    """What was looked at."""
    found: str
    do: str = ""
    """What to do about it; empty when it is as it should be."""


def ok(subject: str, found: str) -> CheckResult:
    """As it should be."""
    return CheckResult("ok", subject, found)


def warn(subject: str, found: str, do: str) -> CheckResult:
    """It works, but not as well as it should, or not for long."""
    return CheckResult("warn", subject, found, do)


def fail(subject: str, found: str, do: str) -> CheckResult:
    """Nothing, or not everything, can work like this."""
    return CheckResult("fail", subject, found, do)


MOST_APART = 2.0
"""Seconds two clocks may differ: deadlines and timers are compared across machines."""


def clock(subject: str, ahead: float) -> CheckResult:
    """Whether another machine's clock agrees with this one's."""
    found = f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= MOST_APART:
        return ok(subject, found)
    return warn(subject, found, "run NTP on both: deadlines and timers fire early or late by as much")
