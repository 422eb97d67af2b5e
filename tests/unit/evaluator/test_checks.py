"""Automatic checks of an ended run: each finds its fault, passes without it, and says when it does not apply."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.acting import ActingCall
from schemas.budget import Budget, Usage
from schemas.fact import Source
from services.evaluator.checks import CHECKS, check_run
from services.evaluator.evidence import Evidence
from services.evaluator.settings import Bounds
from shared.evaluation.observed import Call
from shared.runs.result import result_of
from tests.support.remembering import single

SEEN = "https://example.org/runbook says that 1,204 orders failed, 17 of them twice, which is 0.014 of all"


def evidence(run=None, *, calls=(), acting=(), seen=SEEN, **changes) -> Evidence:
    made = (run or single(answer="1,204 orders failed, 17 twice: 1.4 %")).run
    result = result_of(made).model_copy(update={"acting_calls": list(acting)} | changes)
    return Evidence(made, result, {"work": list(calls)}, seen)


def call(tool="query", arguments='{"sql": "1"}', **about) -> Call:
    return Call(agent="data", tool=tool, arguments=arguments, **{"made": True} | about)


def acting(outcome="made") -> ActingCall:
    about = {"work_id": "w", "call": "think-1/turn-1/call-1", "agent": "communication", "tool": "send_email"}
    return ActingCall(**about, effect="irreversible", digest="0" * 64, outcome=outcome, at=datetime.now(UTC))


def results(given: Evidence, bounds=None) -> dict[str, str | None]:
    """Return the reason of each check that applies: None if it passed."""
    return {each.name: None if each.passed else each.why for each in check_run(given, bounds or Bounds())}


def test_a_run_as_it_should_be_passes_every_check_that_applies():
    found = results(evidence(calls=[call()], acting=[acting()]))
    assert found == dict.fromkeys(["completed", "certain", "effects", "repeats", "numbers", "budget"])


def test_checks_apply_only_where_there_is_something_to_judge():
    assert "effects" not in results(evidence())
    assert "numbers" not in results(evidence(single(answer="All is well.")))
    assert "sources" not in results(evidence())
    assert {"numbers", "sources"}.isdisjoint(results(evidence(seen=None)))


def test_a_run_that_people_ended_is_not_called_incomplete():
    run = single()
    for state in ("CANCELLED", "REJECTED"):
        ended = run.run.model_copy(update={"state": state})
        assert "completed" not in results(Evidence(ended, result_of(ended)))


def test_a_failed_run_and_one_without_an_answer_are_not_completed():
    failed = single().run.model_copy(update={"state": "FAILED"})
    assert "FAILED" in results(Evidence(failed, result_of(failed)))["completed"]
    assert "without an answer" in results(evidence(answer=" "))["completed"]


@pytest.mark.parametrize(
    ("given", "name", "part"),
    [
        ({"doubtful": True, "confidence": 0.1}, "certain", "0.1"),
        ({"acting": [acting("unknown")]}, "effects", "send_email (unknown)"),
        ({"acting": [acting("failed")]}, "effects", "send_email (failed)"),
        ({"calls": [call("send_email")] * 2, "acting": [acting()]}, "repeats", "send_email 2 times"),
        ({"calls": [call()] * 4}, "repeats", "query 4 times"),
        ({"calls": [call(arguments=f'{{"n": {n}}}', failed=n > 1) for n in range(5)]}, "calls", "3 of 5"),
    ],
)
def test_a_fault_is_found_and_named(given, name, part):
    assert part in results(evidence(**given))[name]


def test_equal_calls_count_in_any_order_of_their_arguments_and_others_do_not():
    equal = [call("send_email", '{"to": "a", "text": "b"}'), call("send_email", '{"text": "b", "to": "a"}')]
    assert results(evidence(calls=equal, acting=[acting()]))["repeats"]
    other = [equal[0], call("send_email", '{"to": "c", "text": "b"}'), equal[0].model_copy(update={"failed": True})]
    assert results(evidence(calls=other, acting=[acting()]))["repeats"] is None


def test_a_source_that_the_run_never_saw_is_named():
    def naming(*uris):
        run = single()
        step = run.run.steps["data"]
        output = step.output.model_copy(update={"sources": [Source(title="t", uri=uri) for uri in uris]})
        steps = {"data": step.model_copy(update={"output": output})}
        run.run = run.run.model_copy(update={"steps": steps})
        return results(evidence(run))["sources"]

    assert naming("https://example.org/runbook/") is None
    assert naming("https://example.org/runbook", "https://example.org/made-up").endswith("made-up")


def test_numbers_may_be_rounded_or_per_cent_and_few_may_be_the_model_s_own():
    assert results(evidence(single(answer="1204, 17 and 1.4 %, so about 1,200")))["numbers"] is None
    assert "99" in results(evidence(single(answer="1204 orders, 99 of them late, 55 lost")))["numbers"]
    assert results(evidence(single(answer="1204, 17, 1.4, 1200 and 99")))["numbers"] is None


def test_a_budget_that_is_nearly_used_up_is_found():
    run = single(budget=Budget(tokens=1_000))
    run.run = run.run.model_copy(update={"usage": Usage(prompt_tokens=950)})
    assert "tokens 95%" in results(evidence(run))["budget"]
    assert results(evidence(run), Bounds(budget=0.96))["budget"] is None


def test_a_reason_has_no_secret_and_is_short():
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    tools = (
        [call(f"tool-{secret}", failed=True)] + [call("x" * 400, failed=True)] * 2 + [call("y" * 400, failed=True)] * 2
    )
    why = results(evidence(calls=tools))["calls"]
    assert secret not in why
    assert len(why) == 500


def test_every_check_is_in_the_docs():
    text = Path("docs/evaluate-production.md").read_text()
    assert all(f"| `{name}` |" in text for name in CHECKS)
