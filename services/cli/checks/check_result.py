"""Result of one check of `waggle doctor`."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    level: Level
    subject: str
    """The part that was checked."""
    found: str
    do: str = ""
    """Suggested fix; empty if none is needed."""


def ok(subject: str, found: str) -> CheckResult:
    """Report a part that works."""
    return CheckResult("ok", subject, found)


def warn(subject: str, found: str, do: str) -> CheckResult:
    """Report a part that works, but not well, or not for long."""
    return CheckResult("warn", subject, found, do)


def fail(subject: str, found: str, do: str) -> CheckResult:
    """Report a part that does not work."""
    return CheckResult("fail", subject, found, do)


MOST_APART = 2.0
"""Seconds two clocks may differ: deadlines and timers are compared across machines."""


def clock(subject: str, ahead: float) -> CheckResult:
    """Compare another machine's clock with this one's."""
    found = f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= MOST_APART:
        return ok(subject, found)
    return warn(subject, found, "run NTP on both machines: deadlines and timers are off by this difference")
