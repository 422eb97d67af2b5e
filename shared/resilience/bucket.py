"""Token buckets shared by all replicas: a burst capacity and a refill rate per second.

| level | a call that takes `n` tokens |
|---|---|
| at least `n` | proceeds immediately |
| less | takes the tokens in advance and waits for the refill; later calls wait longer |
| so low that the wait would exceed the caller's patience | takes nothing and is given the wait |

A bucket lost by Redis is full. While Redis is unavailable no call is admitted: the error is one of
`shared.blackboard.OUTAGES`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from shared.blackboard import keys
from shared.blackboard.scripts import Scripts, script

_TAKE = script("take", Path(__file__).parent)

_WINDOW = 60.0
"""Seconds over which per-minute limits are counted."""


class Rate(NamedTuple):
    """Capacity of a bucket and its refill per second."""

    capacity: float
    per_second: float

    @classmethod
    def per_minute(cls, most: float) -> Self:
        """Return a rate that allows at most `most` in any 60 seconds: a tenth as a burst, the rest evenly."""
        at_once = max(1.0, most // 10)
        return cls(at_once, max(most - at_once + 1, 1.0) / _WINDOW)


class Buckets:
    """Buckets that are taken from together. Without any, every call proceeds immediately."""

    def __init__(self, scripts: Scripts, rates: dict[str, Rate]) -> None:
        self._scripts = scripts
        self._keys = [keys.bucket(name) for name in rates]
        self._rates = list(rates.values())

    async def take(self, amounts: Sequence[float], patience: float) -> tuple[bool, float]:
        """Take from each bucket, or from none if the wait would exceed `patience` seconds.

        Returns True if taken, and the seconds to wait: before the call, or until an immediate take would succeed. An
        amount above a bucket's capacity counts as its capacity.
        """
        return await self._run(amounts, max(0, int(patience * 1000)))

    async def turn(self, asker: str, amounts: Sequence[float], patience: float) -> float:
        """Take like `take`, once per `asker` (a Redis key); return the seconds until its turn."""
        _, wait = await self._run(amounts, max(0, int(patience * 1000)), [asker])
        return wait

    async def correct(self, amounts: Sequence[float]) -> None:
        """Correct a take once the true amounts are known: take regardless of the wait, or return negative amounts."""
        await self._run(amounts, -1)

    async def _run(self, amounts: Sequence[float], patience: int, asker: Sequence[str] = ()) -> tuple[bool, float]:
        if not self._keys:
            return True, 0.0
        arguments = [patience, *bucket_arguments(self._rates, amounts)]
        taken, wait = await self._scripts.run(_TAKE, [*self._keys, *asker], arguments)
        return bool(taken), int(wait) / 1000


def bucket_arguments(rates: Sequence[Rate], amounts: Sequence[float]) -> list[str | int]:
    """Return the arguments of the script `take`: capacity, refill and amount of each bucket."""
    pairs = zip(rates, amounts, strict=True)
    return [repr(float(part)) for rate, amount in pairs for part in (rate.capacity, rate.per_second, amount)]
