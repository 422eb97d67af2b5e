"""Samples of ended runs: by rule, by rate, and always the same."""

from pathlib import Path

import pytest

from services.evaluator.settings import Evaluating, read_evaluating
from shared.errors import Misconfigured
from tests.support.remembering import single

RUNS = [single(f"run-{number}").run for number in range(400)]


def rules(*samples, **checks) -> Evaluating:
    return Evaluating.model_validate({"sample": list(samples), "checks": checks})


def test_a_rate_chooses_its_share_and_the_same_runs_each_time():
    chosen = [run.id for run in RUNS if rules({"name": "some", "rate": 0.25}).sampled(run)]
    assert 0.17 < len(chosen) / len(RUNS) < 0.33  # ± 3.7 standard deviations
    again = rules({"name": "renamed", "rate": 0.25}, repeats=9)
    assert chosen == [run.id for run in RUNS if again.sampled(run)]
    more = {run.id for run in RUNS if rules({"name": "some", "rate": 0.5}).sampled(run)}
    assert more > set(chosen)


def test_a_rate_of_one_takes_all_and_of_zero_none():
    assert all(rules({"name": "all", "rate": 1}).sampled(run) for run in RUNS)
    assert not any(rules({"name": "none", "rate": 0}).sampled(run) for run in RUNS)


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"tenants": ["acme"]}, True),
        ({"tenants": ["other"]}, False),
        ({"agents": ["data", "code"]}, True),
        ({"agents": ["code"]}, False),
        ({"types": ["refund"]}, False),
        ({"states": ["COMPLETE"]}, True),
        ({"states": ["FAILED"]}, False),
        ({"min_cost_usd": 0.01}, False),
    ],
)
def test_a_run_that_meets_every_condition_of_a_rule_fits(condition, fits):
    assert bool(rules({"name": "some", "rate": 1} | condition).sampled(RUNS[0])) is fits


def test_the_first_rule_that_fits_decides():
    some = rules({"name": "none", "types": ["refund"], "rate": 0}, {"name": "all", "rate": 1})
    assert some.sampled(single(type="refund").run) is None
    assert some.sampled(RUNS[0]).name == "all"


def test_the_version_changes_with_the_bounds_only():
    one, other = rules({"name": "a", "rate": 1}), rules({"name": "b", "rate": 0})
    assert one.version == other.version != rules({"name": "a", "rate": 1}, repeats=9).version


def test_the_shipped_rules_take_all_failed_runs_and_the_documented_example_is_valid(tmp_path):
    shipped = read_evaluating(None)
    failed = [run.model_copy(update={"state": "FAILED"}) for run in RUNS]
    assert all(shipped.sampled(run).name == "failed" for run in failed)
    assert 0.04 < sum(shipped.sampled(run) is not None for run in RUNS) / len(RUNS) < 0.16
    example = Path("docs/evaluate-production.md").read_text().split("```toml\n")[1].split("```")[0]
    (tmp_path / "evaluation.toml").write_text(example)
    assert read_evaluating(tmp_path / "evaluation.toml").checks == shipped.checks


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[sample]]\nname = "a"\nrate = 1.5\n', "sample.0.rate"),
        ('[[sample]]\nname = "a"\nrate = 1\nstate = "FAILED"\n', "sample.0.state"),
        ("[checks]\nrepeats = 3\n", "sample"),
        ("sample", "WAGGLE_EVALUATION"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_entry(tmp_path, text, named):
    (tmp_path / "evaluation.toml").write_text(text)
    with pytest.raises(Misconfigured, match=named):
        read_evaluating(tmp_path / "evaluation.toml")
