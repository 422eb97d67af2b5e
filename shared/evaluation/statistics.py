"""Statistics of pass rates: intervals, and the test of a difference between paired trials."""

from collections.abc import Sequence
from math import comb, sqrt
from random import Random
from statistics import NormalDist, fmean
from typing import NamedTuple

CONFIDENCE = 0.95

RESAMPLES = 2_000
"""Resamples behind an interval of means: its ends move by some percent of its width."""


class Interval(NamedTuple):
    """The ends of an interval at 95 % confidence."""

    low: float
    high: float


def wilson(passed: int, trials: int) -> Interval:
    """Return the score interval of a share (Wilson 1927), which keeps its level for few trials and shares near 1.

    See Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16 (2001).
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, spread = passed / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Interval(max(0.0, middle - half) if passed else 0.0, min(1.0, middle + half) if passed < trials else 1.0)


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of McNemar's exact test on the pairs that differ.

    Without a change each of them is as likely lost as gained, so the smaller number is binomial with one half
    (McNemar 1947; the exact form as in Agresti, "Categorical Data Analysis", 10.1).
    """
    pairs = lost + gained
    tail = sum(comb(pairs, number) for number in range(min(lost, gained) + 1))
    return float(min(1.0, 2 * tail / 2**pairs))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return an interval of the mean by resampling (Efron 1979, percentiles); the same for the same values."""
    if len(set(values)) < 2:
        return Interval(values[0], values[0]) if values else Interval(0.0, 0.0)
    random = Random(len(values))  # noqa: S311 -- no secret: it must be the same every time
    means = sorted(fmean(random.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Interval(means[cut], means[-cut - 1])
