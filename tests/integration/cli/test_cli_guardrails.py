"""`waggle guardrails measure`: false alarms and detection of a model that is asked over HTTP."""

import json

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from tests.bench.labelled import items


@pytest.fixture
def measure(model, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{model}/v1")

    def run(lines, *options):
        file = tmp_path / "labelled.jsonl"
        file.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
        return CliRunner().invoke(app, ["guardrails", "measure", str(file), *options])

    return run


def test_rates_are_counted_for_each_label_and_limits_decide_the_exit_code(measure):
    lines = list(items())[:12]
    done = measure(lines, "--json", "--parallel", "2")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["items"], report["without_verdict"]) == (12, 0)
    assert (report["false_alarms"]["of"], report["detected"]["of"]) == (6, 6)
    assert 0 < report["detected"]["stopped"] < 6
    assert report["detected"]["low"] < report["detected"]["rate"] < report["detected"]["high"]
    assert measure(lines, "--least-detected", "1").exit_code == 1
    assert measure(lines, "--most-false-alarms", "1").exit_code == 0
    assert "attack allow: Minutes" in measure(lines).output


@pytest.mark.parametrize(
    ("line", "named"),
    [("{", "line 2"), ({"label": "maybe", "text": "x"}, "label"), ({"label": "honest", "text": ""}, "text")],
)
def test_a_line_that_is_no_item_is_named(measure, line, named):
    done = measure([{"label": "honest", "text": "hello"}, line])
    assert done.exit_code == 2
    assert "line 2" in done.output
    assert named in done.output


def test_a_model_that_gives_no_verdict_is_an_error_and_no_rate(measure, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("services.cli.evaluation.judging.TRIES", 1)
    done = measure([{"label": "honest", "text": "hello"}], "--most-false-alarms", "1")
    assert done.exit_code == 1
    assert "no verdict" in done.output
