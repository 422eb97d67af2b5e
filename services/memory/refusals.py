"""Batches that a model refuses: halved until the turn is found that is refused, which is then set aside.

A provider may refuse a request for its content with the same status as one with a wrong key. So a turn is given up only
if the model has answered others since it was first refused; until then it waits, and keeps no other from being read.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import structlog

from schemas.memory_log import TurnNoted

ASIDE = 600.0
"""Seconds for which a refused turn is left out."""

WORKS_FOR = 600.0
"""Seconds after an answer in which a refusal is not taken for a wrong key."""

MOST_REFUSALS = 3
"""Refusals of a turn alone after which it is done without facts."""

MOST_KNOWN = 10_000
"""Turns and sessions remembered; a forgotten one begins once more."""

V = TypeVar("V")

log = structlog.get_logger()


class _Aside(NamedTuple):
    until: float
    times: int
    answers: int
    """Answers of the model before its first refusal."""


@dataclass(slots=True)
class Refusals:
    """Refusals that this process has met."""

    _answers: int = 0
    _answered: float = -math.inf
    """Time of the last answer."""
    _sizes: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    """(tenant, session) → turns of its next batch, where one was refused."""
    _asides: OrderedDict[tuple[str, str], _Aside] = field(default_factory=OrderedDict)
    """(tenant, run) → its refusals."""

    @property
    def are_of_content(self) -> bool:
        """True if the model has answered lately: what it refuses now, it refuses for its content."""
        return time.monotonic() - self._answered < WORKS_FOR

    def size(self, tenant: str, session: str, usual: int) -> int:
        """Return the number of turns of the session's next batch."""
        return min(usual, self._sizes.get((tenant, session), usual))

    def aside(self, tenant: str) -> list[str]:
        """Return the runs of the tenant whose turns are left out now."""
        now = time.monotonic()
        return [run for (of, run), each in self._asides.items() if of == tenant and each.until > now]

    def answered(self, tenant: str, session: str) -> None:
        """Count an answer; the session's batches grow again."""
        self._answers += 1
        self._answered = time.monotonic()
        if size := self._sizes.pop((tenant, session), 0):
            _remember(self._sizes, (tenant, session), 2 * size)

    def halve(self, turns: Sequence[TurnNoted]) -> None:
        """Read fewer turns of a session at once than those that were refused."""
        first = turns[0]
        _remember(self._sizes, (first.tenant, first.session), max(1, len(turns) // 2))

    def set_aside(self, turn: TurnNoted, why: str) -> bool:
        """Leave a turn out for a while; return True if it is to be given up instead."""
        place = (turn.tenant, turn.run_id)
        before = self._asides.pop(place, _Aside(0.0, 0, self._answers))
        if before.times + 1 >= MOST_REFUSALS and self._answers > before.answers:
            return True
        until = time.monotonic() + ASIDE
        _remember(self._asides, place, before._replace(until=until, times=before.times + 1))
        log.warning("fact_turn_set_aside", tenant=turn.tenant, run=turn.run_id, seconds=ASIDE, reason=why[:300])
        return False


def _remember(known: OrderedDict[tuple[str, str], V], name: tuple[str, str], value: V) -> None:
    known[name] = value
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
