"""Admission of a call by a breaker and token buckets together: one round trip to admit it, one to report its outcome.

| breaker | buckets | a call |
|---|---|---|
| admits no call | | is rejected, and takes nothing from the buckets |
| closed; or half-open, and this is the probe | have enough tokens, or soon will | is made, after the wait |
| as above | have too few tokens | is rejected as `limited`; another call may become the probe |

While Redis is unavailable no call is admitted: the error is one of `shared.blackboard.OUTAGES`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.blackboard.scripts import Scripts, script
from shared.resilience.breaker import AdmissionResult, Breaker, Outcome, admission_result
from shared.resilience.bucket import Rate, bucket_arguments

LIMITED = "limited"

_ENTER = script("enter", Path(__file__).parent, using=("admit", "take"))


@dataclass(frozen=True, slots=True)
class Admission:
    """Breaker and rate limits of one dependency. `rates`: Redis key of a bucket → its rate."""

    scripts: Scripts
    breaker: Breaker | None
    rates: Mapping[str, Rate]

    async def admit(self, patience: float) -> AdmissionResult:
        """Request admission of a call that can wait for `patience` seconds."""
        asked = self.breaker.admit_arguments() if self.breaker else []
        keys = [*([self.breaker.key] if self.breaker else []), *self.rates]
        taking = [int(patience * 1000), *bucket_arguments(list(self.rates.values()), [1] * len(self.rates))]
        try:
            state, wait = await self.scripts.run(_ENTER, keys, [int(bool(self.breaker)), *asked, *taking])
        except asyncio.CancelledError:
            if self.breaker is not None:
                await self.breaker.release(str(asked[0]))
            raise
        return admission_result(state, wait, asked or [""])

    async def report(self, admission: AdmissionResult, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Report the outcome. Skipped when the breaker cannot learn from it."""
        if self.breaker is None or (outcome is Outcome.UNKNOWN and not admission.token):
            return
        await self.breaker.report(admission, outcome, hold=hold)
