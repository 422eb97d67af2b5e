"""A circuit breaker: what fails again and again is left alone for a while, by all replicas.

| state | a call | a call that works | a call that fails |
|---|---|---|---|
| closed | is made | failures are forgotten | counts; the fifth in a row opens it |
| open | waits until the rest is over; then it is half-open | | |
| half-open | the first is made, as the probe; others wait for its end | the probe closes it | the probe opens it |
| held | waits until the time that what is called has named, whatever the state | | |

Only the probe has a say while it is not closed: a call from before that ends late changes nothing. A probe that is
never heard of again is given up after its time. A breaker that Redis lost is closed. While Redis is away nothing is
let through: the error is one of `shared.blackboard.OUTAGES`.
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
"""Failures in a row that open it."""

REST = 5.0
"""Seconds it stays open before a probe."""

LONGEST_HOLD = 600.0
"""Seconds: however long somebody asks to be left alone, it is tried again after that."""

LOOK_AGAIN = 0.25
"""Seconds between looks at whether somebody else's probe has ended."""

GIVE_BACK_WITHIN = 2.0
"""Seconds that a caller who was cut off may take to say so."""

REMEMBERED = 3_600.0
"""Seconds after the last call for which failures are remembered."""


class Outcome(StrEnum):
    """How a call went."""

    WORKED = "worked"
    """What was called answered, though perhaps with a refusal."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It was given up before that showed."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a call may be made. Whoever makes it reports how it went, with this."""

    granted: bool
    state: str
    """`closed`, `probe`, `open`, `probing` or `held`; of an entrance also `limited`."""
    wait: float
    """Seconds after which there is use in asking again; of one that is granted, to wait before the call."""
    token: str = ""
    """Of the probe; empty: it is none."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one thing that is called. `lease`: seconds a probe may take."""

    scripts: Scripts
    name: str
    lease: float
    changed: Callable[[str], None] = lambda change: None
    """Told `opened` and `closed`, by the replica whose call has done it."""
    tenant: str | None = None
    """Whose own it is; None: everybody's."""

    async def admit(self) -> Admission:
        """Ask whether to call now."""
        arguments = self.asking()
        try:
            state, wait = await self.scripts.run(_ADMIT, [self.key], arguments)
        except asyncio.CancelledError:  # it may be the probe by now, without knowing it
            await self.give_back(str(arguments[0]))
            raise
        return admission(state, wait, arguments)

    @property
    def key(self) -> str:
        """Where it is kept."""
        return keys.breaker(self.name, self.tenant)

    def asking(self) -> list[str | int]:
        """What the script that admits is told; the first is a token for a probe."""
        return [uuid4().hex, _ms(self.lease), _ms(LOOK_AGAIN)]

    async def give_back(self, token: str) -> None:
        """Whoever was cut off while asking may be the probe: let another one be."""
        with suppress(TimeoutError, *OUTAGES):
            async with asyncio.timeout(GIVE_BACK_WITHIN):
                await self.report(Admission(granted=True, state="probe", wait=0.0, token=token), Outcome.UNKNOWN)

    async def report(self, admission: Admission, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Say how the admitted call went. `hold`: for so many seconds nobody shall call."""
        asked_for = _ms(min(hold, LONGEST_HOLD))
        arguments: list[str | int] = [admission.token, outcome, FAILURES, _ms(REST), asked_for, _ms(REMEMBERED)]
        change = await self.scripts.run(_REPORT, [self.key], arguments)
        if change:
            self.changed(change)


def admission(state: str, wait: int, asked: Sequence[str | int]) -> Admission:
    """What the script has answered to a question of `Breaker.asking`."""
    granted = state in ("closed", "probe")
    return Admission(granted, state, int(wait) / 1000, str(asked[0]) if state == "probe" else "")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
