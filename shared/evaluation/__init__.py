"""Suites of cases: reading, checks of runs, and comparison of two versions. Pure: calls no model and no swarm."""

from shared.evaluation.case import Case, Expectation, ExpectedQuestion, Suite
from shared.evaluation.checking import check
from shared.evaluation.comparing import Comparison, compare
from shared.evaluation.observed import Call, Observed, calls_in
from shared.evaluation.reading import SuiteFault, read_suite
from shared.evaluation.record import Calibration, SuiteRun, Trial
from shared.evaluation.statistics import Interval, mcnemar, wilson
from shared.evaluation.summary import Score, by_case, overall

__all__ = [
    "Calibration",
    "Call",
    "Case",
    "Comparison",
    "Expectation",
    "ExpectedQuestion",
    "Interval",
    "Observed",
    "Score",
    "Suite",
    "SuiteFault",
    "SuiteRun",
    "Trial",
    "by_case",
    "calls_in",
    "check",
    "compare",
    "mcnemar",
    "overall",
    "read_suite",
    "wilson",
]
