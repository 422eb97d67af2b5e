"""A breaker and token buckets together: one round trip admits a call, one says how it went.

| breaker | buckets | a call |
|---|---|---|
| lets nobody through | | is refused, and takes nothing from the buckets |
| closed; half-open, and this is the probe | have enough, or soon will | is made, after the wait |
| as above | have too little | is refused as `limited`; another call may be the probe |

While Redis is away nothing is let through: the error is one of `shared.blackboard.OUTAGES`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.blackboard.scripts import Scripts, script
from shared.resilience.breaker import Admission, Breaker, Outcome, admission
from shared.resilience.bucket import Rate, asking

LIMITED = "limited"

_ENTER = script("enter", Path(__file__).parent, using=("admit", "take"))


@dataclass(frozen=True, slots=True)
class Entrance:
    """The way to one thing that is called. `rates`: by the buckets' keys."""

    scripts: Scripts
    breaker: Breaker | None
    rates: Mapping[str, Rate]

    async def admit(self, patience: float) -> Admission:
        """Ask whether to call, at the latest after so many seconds."""
        asked = self.breaker.asking() if self.breaker else []
        keys = [*([self.breaker.key] if self.breaker else []), *self.rates]
        told = [int(patience * 1000), *asking(list(self.rates.values()), [1] * len(self.rates))]
        try:
            state, wait = await self.scripts.run(_ENTER, keys, [int(bool(self.breaker)), *asked, *told])
        except asyncio.CancelledError:
            if self.breaker is not None:
                await self.breaker.give_back(str(asked[0]))
            raise
        return admission(state, wait, asked or [""])

    async def report(self, admission: Admission, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Say how the admitted call went; where that is no news nobody is told."""
        if self.breaker is None or (outcome is Outcome.UNKNOWN and not admission.token):
            return
        await self.breaker.report(admission, outcome, hold=hold)
