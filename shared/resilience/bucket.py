"""Token buckets: so much at once, and then so much a second, for all replicas together.

| level | a call that takes `n` |
|---|---|
| at least `n` | goes at once |
| less | owes the rest and waits until it has flowed in; those that come later wait longer |
| so low that the wait would be longer than the caller's patience | takes nothing and is told the wait |

A bucket that Redis lost is full again. While Redis is away nothing is let through: the error is one of
`shared.blackboard.OUTAGES`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from shared.blackboard import keys
from shared.blackboard.scripts import Scripts, script

_TAKE = script("take", Path(__file__).parent)

_WINDOW = 60.0
"""Seconds over which limits a minute are counted."""


class Rate(NamedTuple):
    """What a bucket holds, and what flows into it in a second."""

    capacity: float
    per_second: float

    @classmethod
    def per_minute(cls, most: float) -> Self:
        """A rate by which any 60 seconds see at most so many: a tenth of them at once, the others evenly."""
        at_once = max(1.0, most // 10)
        return cls(at_once, max(most - at_once + 1, 1.0) / _WINDOW)


class Buckets:
    """Some buckets that are taken from together. With none of them everything goes at once."""

    def __init__(self, scripts: Scripts, rates: dict[str, Rate]) -> None:
        self._scripts = scripts
        self._keys = [keys.bucket(name) for name in rates]
        self._rates = list(rates.values())

    async def take(self, amounts: Sequence[float], patience: float) -> tuple[bool, float]:
        """Take from each, or from none if that would mean to wait longer than so many seconds.

        Returns whether it was taken, and the seconds to wait: before the call, or until it would have been taken at
        once. More than a bucket holds counts as all it holds.
        """
        return await self._run(amounts, max(0, int(patience * 1000)))

    async def turn(self, asker: str, amounts: Sequence[float], patience: float) -> float:
        """Take as `take` does, once for an asker, which is a key; return the seconds until its turn."""
        _, wait = await self._run(amounts, max(0, int(patience * 1000)), [asker])
        return wait

    async def correct(self, amounts: Sequence[float]) -> None:
        """Take whatever the wait, or with negative amounts give back: the true figure is known only afterwards."""
        await self._run(amounts, -1)

    async def _run(self, amounts: Sequence[float], patience: int, asker: Sequence[str] = ()) -> tuple[bool, float]:
        if not self._keys:
            return True, 0.0
        arguments = [patience, *asking(self._rates, amounts)]
        taken, wait = await self._scripts.run(_TAKE, [*self._keys, *asker], arguments)
        return bool(taken), int(wait) / 1000


def asking(rates: Sequence[Rate], amounts: Sequence[float]) -> list[str | int]:
    """What the script that takes is told of each bucket."""
    told = zip(rates, amounts, strict=True)
    return [repr(float(part)) for rate, amount in told for part in (rate.capacity, rate.per_second, amount)]
