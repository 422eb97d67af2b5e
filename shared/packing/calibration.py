"""Correction of counted tokens by what endpoints report, conservative, and the same on every replay of the journal."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

REMEMBERED = 3
"""Latest reports of an endpoint; the largest counts."""

MARGIN = 1.05
"""Added to a report: the next prompt may have more tokens per character."""


@dataclass(slots=True)
class Calibration:
    """Reported tokens over counted tokens. `estimated`: the count is an estimate."""

    estimated: bool
    _ratios: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(_ratios))

    def learn(self, endpoint: str, counted: int, reported: int) -> None:
        """Take in the prompt tokens that an endpoint reports."""
        if counted > 0 and reported > 0:
            self._ratios[endpoint].append(reported / counted)

    def factor(self, endpoints: Iterable[str]) -> float:
        """Return the factor for prompts to these endpoints, within bounds that no report can change."""
        known = [max(self._ratios[each]) for each in endpoints if each in self._ratios]
        lowest, start = (0.8, 1.25) if self.estimated else (1.0, 1.05)
        return min(4.0, max(lowest, max(known) * MARGIN)) if known else start


def _ratios() -> deque[float]:
    return deque(maxlen=REMEMBERED)
