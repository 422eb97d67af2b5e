"""Scores of a suite's run: pass rates with their intervals, costs and times."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import NamedTuple

from shared.evaluation.record import SuiteRun, Trial
from shared.evaluation.statistics import Interval, wilson


class Score(NamedTuple):
    """Score of one case, or of all."""

    name: str
    passed: int
    trials: int
    interval: Interval
    cost_usd: float
    """Mean of a trial."""
    seconds: float
    """Median of a trial."""
    problems: list[str]
    """Different problems, the most frequent first."""

    @property
    def rate(self) -> float:
        """Share of trials that passed."""
        return self.passed / self.trials if self.trials else 0.0

    @property
    def document(self) -> dict[str, object]:
        """The score as JSON has it."""
        return {**self._asdict(), "rate": self.rate, "interval": list(self.interval)}


def overall(run: SuiteRun) -> Score:
    """Return the score of all trials."""
    return _score("all", run.trials)


def by_case(run: SuiteRun) -> list[Score]:
    """Return the score of each case, in the order in which they were run."""
    names = dict.fromkeys(trial.case for trial in run.trials)
    return [_score(name, [trial for trial in run.trials if trial.case == name]) for name in names]


def _score(name: str, trials: Sequence[Trial]) -> Score:
    passed = sum(trial.passed for trial in trials)
    return Score(
        name=name,
        passed=passed,
        trials=len(trials),
        interval=wilson(passed, len(trials)),
        cost_usd=fmean([trial.cost_usd for trial in trials]) if trials else 0.0,
        seconds=median([trial.seconds for trial in trials]) if trials else 0.0,
        problems=_frequent(problem for trial in trials for problem in trial.problems),
    )


def _frequent(problems: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for each in problems:
        counts[each] = counts.get(each, 0) + 1
    return sorted(counts, key=lambda each: -counts[each])
