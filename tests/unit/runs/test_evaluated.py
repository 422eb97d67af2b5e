"""Evaluations of ended runs: once for each end, and on the list of results to review until a person has judged."""

import json

from schemas.approval import CancelRun, Feedback, RecordEvaluation, ResumeRun
from schemas.event import CheckResult, Evaluation, RunEvaluated
from schemas.task import Task
from shared.blackboard.entries import TO_REVIEW, entry_of
from shared.runs import evolve
from tests.support.run_world import World, plan_of


def found(*, passed: bool = False, end: int = 0) -> RecordEvaluation:
    checks = [CheckResult(name="sources", passed=passed, why="" if passed else "unseen")]
    evaluation = Evaluation(end=end, rules="0123456789ab", sampled="all", checks=checks)
    return RecordEvaluation(run_id="run-1", tenant="default", by="evaluator", evaluation=evaluation)


def at_work() -> World:
    w = World(Task(objective="count the orders", requested_by="ada")).start()
    w.plan(plan_of(a=""))
    return w


def ended() -> World:
    w = at_work()
    w.done("a")
    w.review()
    return w


def evaluations(w: World) -> list[RunEvaluated]:
    return [each for each in w.events if isinstance(each, RunEvaluated)]


def listed(w: World) -> tuple[bool, list[str]]:
    entry = entry_of(w.run, 1)
    return TO_REVIEW in entry.marks.split("\n")[1].split(), json.loads(entry.row)["failed_checks"]


def test_an_end_is_evaluated_once_and_names_what_the_run_was_made_with():
    w = ended()
    for each in (found(), found(passed=True)):
        w.tell(each)
    [event] = evaluations(w)
    assert list(event.agents) == [w.run.steps["a"].step.agent]
    assert w.run.evaluation == event.evaluation == found().evaluation
    assert evolve(w.run, event).evaluation == event.evaluation


def test_a_run_at_work_and_an_end_that_is_not_the_present_one_are_not_evaluated():
    w = at_work()
    w.tell(found())
    w.done("a")
    w.review()
    w.tell(found(end=1))
    assert evaluations(w) == []


def test_a_resumed_run_is_evaluated_at_its_next_end_and_its_earlier_checks_are_not_listed():
    w = at_work()
    w.fail(w.handoff("a"), retryable=False)
    assert w.run.state == "FAILED"
    w.tell(found())
    assert listed(w) == (True, ["sources"])
    w.tell(ResumeRun(run_id="run-1", tenant="default", by="ada"))
    assert listed(w) == (False, [])
    w.done("a")
    w.review()
    w.tell(found())
    assert listed(w) == (False, [])
    w.tell(found(end=1))
    assert [each.evaluation.end for each in evaluations(w)] == [0, 1]
    assert listed(w) == (True, ["sources"])


def test_a_result_is_to_be_reviewed_until_a_person_gives_feedback():
    w = ended()
    assert listed(w) == (False, [])
    w.tell(found())
    assert listed(w) == (True, ["sources"])
    w.tell(Feedback(run_id="run-1", tenant="default", by="ada", solved=True))
    assert listed(w) == (False, ["sources"])
    assert "r:yes" in entry_of(w.run, 1).marks


def test_checks_that_passed_are_not_to_be_reviewed():
    w = ended()
    w.tell(found(passed=True))
    assert listed(w) == (False, [])


def test_a_cancelled_run_is_evaluated_once_its_result_is_published():
    w = at_work()
    w.tell(CancelRun(run_id="run-1", tenant="default", by="ada", reason="late"))
    w.tell(found())
    assert evaluations(w) == []
    w.done("a")
    w.tell(found())
    assert len(evaluations(w)) == 1
