"""Intervals, McNemar's test, and the comparison of two versions."""

from datetime import UTC, datetime
from math import comb
from random import Random

import pytest

from shared.evaluation import SuiteRun, Trial, by_case, compare, mcnemar, overall, wilson
from shared.evaluation.comparing import ALPHA
from shared.evaluation.statistics import mean_interval

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "trials", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (1, 1, 0.2065, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals_are_those_of_the_literature(passed, trials, low, high):
    assert wilson(passed, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(0, 0, 1), (5, 0, 0.0625), (6, 0, 0.03125), (1, 9, 0.021484375), (4, 4, 1)]
)
def test_mcnemars_exact_test_is_the_binomial_one(lost, gained, p):
    assert mcnemar(lost, gained) == pytest.approx(p)


def suite_run(outcomes, digest="d", **costs):
    trials = [
        Trial(case=case, number=number, digest=digest, run_id="r", passed=passed, status="complete", **costs)
        for case, passes in outcomes.items()
        for number, passed in enumerate(passes, 1)
    ]
    return SuiteRun(id="a", suite="s", digest=digest, started=START, repeat=1, trials=trials)


def test_a_comparison_counts_pairs_and_names_the_cases():
    before = suite_run({"a": [1, 1, 1], "b": [0, 1], "c": [1]}, cost_usd=0.1, seconds=1)
    after = suite_run({"a": [0, 0, 1], "b": [1, 1], "d": [1]}, cost_usd=0.3, seconds=1)
    found = compare(before, after)
    assert (found.pairs, found.passed_before, found.passed_after) == (5, 4, 3)
    assert [tuple(each) for each in found.cases] == [("a", 2, 0), ("b", 0, 1)]
    assert found.unpaired == ["c", "d"]
    assert found.cost_usd.interval == pytest.approx((0.2, 0.2))
    assert not found.dropped()


def test_a_case_that_was_changed_is_not_compared():
    found = compare(suite_run({"a": [1] * 9}), suite_run({"a": [0] * 9}, digest="other"))
    assert (found.pairs, found.changed, found.dropped()) == (0, ["a"], False)


def test_a_drop_is_one_that_chance_does_not_explain_and_a_rise_is_none():
    good, bad = suite_run({"a": [1] * 7}), suite_run({"a": [0] * 7})
    assert compare(good, bad).dropped()
    assert not compare(bad, good).dropped()
    assert not compare(suite_run({"a": [1] * 5}), suite_run({"a": [0] * 5})).dropped()


def false_alarms(pairs):
    """The exact share of comparisons without a change that are an alarm, if so many pairs differ."""
    return (
        sum(
            comb(pairs, lost)
            for lost in range(pairs + 1)
            if lost > pairs - lost and mcnemar(lost, pairs - lost) < ALPHA
        )
        / 2**pairs
    )


def test_at_most_one_percent_of_comparisons_without_a_change_are_an_alarm_at_any_noise():
    assert max(false_alarms(pairs) for pairs in range(150)) <= 0.01


def test_a_thousand_comparisons_without_a_change_raise_few_alarms():
    random = Random(9)
    rates = {f"case-{number}": 0.5 + number / 20 for number in range(10)}

    def tried():
        return suite_run({case: [random.random() < rate for _ in range(5)] for case, rate in rates.items()})

    alarms = sum(compare(tried(), tried()).dropped() for _ in range(1_000))
    assert alarms <= 10


def test_scores_by_case_and_in_all():
    run = suite_run({"a": [1, 0], "b": [1, 1]}, cost_usd=0.5, seconds=3)
    assert [(each.name, each.rate) for each in by_case(run)] == [("a", 0.5), ("b", 1.0)]
    assert (overall(run).passed, overall(run).trials, overall(run).cost_usd) == (3, 4, 0.5)


def test_the_interval_of_a_mean_holds_it_and_is_the_same_each_time():
    values = [0.1, 0.4, 0.2, 0.9, 0.3]
    low, high = mean_interval(values)
    assert low < 0.38 < high
    assert mean_interval(values) == (low, high)
    assert mean_interval([]) == (0, 0)
