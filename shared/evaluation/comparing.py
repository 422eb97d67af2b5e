"""Comparison of two runs of a suite, trial by trial.

A trial is paired with the other version's of the same case and number. If nothing has changed, both versions pass a
case equally often, so a pair that differs is as likely lost as gained, whichever case it is of: McNemar's test.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple

from shared.evaluation.record import SuiteRun, Trial
from shared.evaluation.statistics import Interval, mcnemar, mean_interval

ALPHA = 0.02
"""Two-sided level of the test. Only drops are an alarm: at most 1 % of comparisons without a change are one."""


class Difference(NamedTuple):
    """Difference of a mean, after minus before, with its interval."""

    before: float
    after: float
    interval: Interval

    @property
    def document(self) -> dict[str, object]:
        """The difference as JSON has it."""
        return {"before": self.before, "after": self.after, "interval": list(self.interval)}


class CaseChange(NamedTuple):
    """A case of which trials differ."""

    case: str
    lost: int
    gained: int


class Comparison(NamedTuple):
    """Result of a comparison."""

    pairs: int
    passed_before: int
    passed_after: int
    lost: int
    """Pairs that passed before alone."""
    gained: int
    """Pairs that pass after alone."""
    p: float
    cases: list[CaseChange]
    cost_usd: Difference
    seconds: Difference
    changed: list[str]
    """Cases that are not the same in both: not compared."""
    unpaired: list[str]
    """Cases with trials in one run alone."""

    def dropped(self, alpha: float = ALPHA) -> bool:
        """Return true if fewer pass, and not by chance."""
        return self.lost > self.gained and self.p < alpha

    @property
    def document(self) -> dict[str, object]:
        """The comparison as JSON has it."""
        differences = {"cost_usd": self.cost_usd.document, "seconds": self.seconds.document}
        return {**self._asdict(), **differences, "cases": [each._asdict() for each in self.cases]}


def compare(before: SuiteRun, after: SuiteRun) -> Comparison:
    """Compare two runs of a suite."""
    old, new = ({trial.key: trial for trial in run.trials} for run in (before, after))
    shared = [(old[key], new[key]) for key in old if key in new]
    changed = {a.case for a, b in shared if a.digest != b.digest}
    pairs = [(a, b) for a, b in shared if a.case not in changed]
    lost = sum(a.passed and not b.passed for a, b in pairs)
    gained = sum(b.passed and not a.passed for a, b in pairs)
    return Comparison(
        pairs=len(pairs),
        passed_before=sum(a.passed for a, _ in pairs),
        passed_after=sum(b.passed for _, b in pairs),
        lost=lost,
        gained=gained,
        p=mcnemar(lost, gained),
        cases=_changes(pairs),
        cost_usd=_difference([(a.cost_usd, b.cost_usd) for a, b in pairs]),
        seconds=_difference([(a.seconds, b.seconds) for a, b in pairs]),
        changed=sorted(changed),
        unpaired=sorted(_unpaired(old, new)),
    )


def _changes(pairs: list[tuple[Trial, Trial]]) -> list[CaseChange]:
    """Return the cases of which pairs differ, the most lost first."""
    changes = []
    for name in dict.fromkeys(a.case for a, _ in pairs):
        lost = sum(a.passed and not b.passed for a, b in pairs if a.case == name)
        gained = sum(b.passed and not a.passed for a, b in pairs if a.case == name)
        changes += [CaseChange(name, lost, gained)] if lost or gained else []
    return sorted(changes, key=lambda each: each.gained - each.lost)


def _difference(values: list[tuple[float, float]]) -> Difference:
    if not values:
        return Difference(0.0, 0.0, Interval(0.0, 0.0))
    before, after = (fmean(side) for side in zip(*values, strict=True))
    return Difference(before, after, mean_interval([b - a for a, b in values]))


def _unpaired(old: Mapping[tuple[str, int], Trial], new: Mapping[tuple[str, int], Trial]) -> set[str]:
    return {case for case, _ in old.keys() ^ new.keys()}
