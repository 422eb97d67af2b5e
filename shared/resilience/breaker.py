"""Circuit breaker shared by all replicas: opens after five consecutive failures.

| state | a call | success | failure |
|---|---|---|---|
| closed | is made | resets the failure count | counts; the fifth in a row opens the breaker |
| open | waits for the rest period, after which the breaker is half-open | | |
| half-open | the first is made, as the probe; others wait for it | of the probe: closes | of the probe: opens |
| held | waits until the time the dependency has asked for, in any state | | |

While the breaker is not closed only the probe changes it: an earlier call that ends late has no effect. A probe that
never reports expires after its lease. A breaker lost by Redis is closed. While Redis is unavailable no call is
admitted: the error is one of `shared.blackboard.OUTAGES`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from shared.blackboard import OUTAGES, keys
from shared.blackboard.scripts import Scripts, script

_ADMIT, _REPORT = script("admit", Path(__file__).parent), script("report", Path(__file__).parent)

FAILURES = 5
"""Consecutive failures that open the breaker."""

REST = 5.0
"""Seconds the breaker stays open before a probe."""

LONGEST_HOLD = 600.0
"""Seconds a dependency may ask for at most; it is probed after that."""

LOOK_AGAIN = 0.25
"""Seconds between checks for the end of another caller's probe."""

RELEASE_WITHIN = 2.0
"""Seconds a cancelled caller may take to release its probe."""

REMEMBERED = 3_600.0
"""Seconds failures are remembered after the last call."""


class Outcome(StrEnum):
    """Outcome of a call, as far as it concerns the dependency."""

    WORKED = "worked"
    """The dependency answered, perhaps with a rejection."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The call was abandoned before its outcome was known."""


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """Decision on a call. The caller passes it back when reporting the outcome."""

    granted: bool
    state: str
    """`closed`, `probe`, `open`, `probing` or `held`; from `Admission` also `limited`."""
    wait: float
    """Seconds to wait before the call if granted, else before the next request for admission."""
    token: str = ""
    """Token of the probe; empty for an ordinary call."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Breaker of one dependency. `lease`: seconds a probe may take."""

    scripts: Scripts
    name: str
    lease: float
    changed: Callable[[str], None] = lambda change: None
    """Called with `opened` or `closed` in the replica whose call caused the change."""
    tenant: str | None = None
    """Tenant the breaker belongs to; None: shared by all tenants."""

    async def admit(self) -> AdmissionResult:
        """Request admission of a call."""
        arguments = self.admit_arguments()
        try:
            state, wait = await self.scripts.run(_ADMIT, [self.key], arguments)
        except asyncio.CancelledError:  # this call may have become the probe
            await self.release(str(arguments[0]))
            raise
        return admission_result(state, wait, arguments)

    @property
    def key(self) -> str:
        """Redis key of the breaker."""
        return keys.breaker(self.name, self.tenant)

    def admit_arguments(self) -> list[str | int]:
        """Return the arguments of the script `admit`; the first is a new token in case the call becomes the probe."""
        return [uuid4().hex, _ms(self.lease), _ms(LOOK_AGAIN)]

    async def release(self, token: str) -> None:
        """Release the probe of a caller cancelled while requesting admission, so that another call can probe."""
        with suppress(TimeoutError, *OUTAGES):
            async with asyncio.timeout(RELEASE_WITHIN):
                await self.report(AdmissionResult(granted=True, state="probe", wait=0.0, token=token), Outcome.UNKNOWN)

    async def report(self, admission: AdmissionResult, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Report the outcome of an admitted call. `hold`: seconds for which no call may be made."""
        hold_ms = _ms(min(hold, LONGEST_HOLD))
        arguments: list[str | int] = [admission.token, outcome, FAILURES, _ms(REST), hold_ms, _ms(REMEMBERED)]
        change = await self.scripts.run(_REPORT, [self.key], arguments)
        if change:
            self.changed(change)


def admission_result(state: str, wait: int, asked: Sequence[str | int]) -> AdmissionResult:
    """Convert the reply of the script `admit`; `asked` are its arguments."""
    granted = state in ("closed", "probe")
    return AdmissionResult(granted, state, int(wait) / 1000, str(asked[0]) if state == "probe" else "")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
