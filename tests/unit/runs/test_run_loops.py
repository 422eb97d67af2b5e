"""Hand-offs to and fro: what comes back as it was is noticed, and the run stops with the reason."""

import pytest

from schemas.approval import HumanDecided, ResumeRun
from schemas.event import PlanRefused, State
from schemas.plan import Plan
from schemas.step import MakePlan, Output, ReviewResult, StepCompleted
from schemas.task import Task
from tests.support.questions import first_asked
from tests.support.run_world import World, plan_of


def world(**task) -> World:
    return World(Task(objective="do it", **task)).start()


def planned(**depends_on) -> World:
    w = world()
    w.plan(plan_of(**depends_on))
    return w


def decided(w: World, decision: str, answer: str = "") -> None:
    about = {"run_id": "run-1", "tenant": "default", "by": "eva", "request_id": first_asked(w.run).request_id}
    w.tell(HumanDecided(**about, decision=decision, answer=answer))


def resumed(w: World) -> None:
    w.tell(ResumeRun(run_id="run-1", tenant="default", by="eva"))


@pytest.mark.parametrize("plan", [plan_of(a="z"), plan_of(a="b", b="a")])
def test_a_planner_that_makes_the_refused_plan_again_ends_the_run_and_is_not_asked_a_third_time(plan):
    w = world()
    w.plan(plan)
    again = Plan(steps=list(reversed(plan.steps)), rationale="this time it will work")
    w.plan(again)
    assert sum(isinstance(event, PlanRefused) for event in w.events) == 2
    assert w.waiting(MakePlan) == []
    assert w.results[0].error.code == "loop"
    assert "the same plan again" in w.results[0].error.message


def test_a_planner_that_makes_the_plan_again_that_a_person_rejected_ends_the_run_with_the_persons_reason():
    w = planned(a="")
    w.ask("a")
    decided(w, "reject", "too risky")
    w.plan(plan_of(a=""))
    assert w.dispatched == ["a"]
    assert w.results[0].error.code == "loop"
    assert "too risky" in w.results[0].error.message


def test_of_two_plans_in_turn_the_first_one_that_comes_back_ends_the_run():
    w = world()
    for plan in (plan_of(a="y"), plan_of(a="z"), plan_of(a="y")):
        w.plan(plan)
    assert w.results[0].error.code == "loop"


def test_a_task_that_waits_in_trouble_asks_a_person_about_the_plan_that_came_back():
    w = world(on_trouble="wait")
    for _ in range(2):
        w.plan(plan_of(a="z"))
    assert w.run.state is State.WAITING_HUMAN
    decided(w, "approve", "keep it simple")
    w.plan(plan_of(a=""))
    assert w.dispatched == ["a"]


def test_a_resumed_run_asks_the_planner_as_for_other_work_so_that_it_does_not_just_repeat_its_journal():
    w = world()
    for _ in range(2):
        w.plan(plan_of(a="z"))
    asked = {each.message.idempotency_key for each in w.sent if isinstance(each.message, MakePlan)}
    resumed(w)
    (again,) = w.waiting(MakePlan)
    assert again.idempotency_key not in asked
    w.plan(plan_of(a=""))
    assert w.dispatched == ["a"]


def test_a_step_that_brings_the_same_again_is_not_reviewed_again_and_its_output_is_the_partial_answer():
    w = planned(c="", a="c", b="a")
    for step in "cab":
        w.done(step)
    w.review(accepted=False, redo=("a",))
    w.done("a")
    w.done("b")
    assert w.waiting(ReviewResult) == []
    (result,) = w.results
    assert (result.status, result.error.code) == ("failed", "loop")
    assert "because" in result.error.message
    assert "`a`, `b`" in result.error.message
    assert "b is done" in result.answer


def test_a_step_that_is_only_surer_of_the_same_has_not_changed():
    w = planned(a="")
    w.done("a")
    w.review(accepted=False)
    surer = Output(answer="a is done", confidence=1.0)
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=surer))
    assert w.results[0].error.code == "loop"


def test_it_is_reviewed_again_when_one_of_the_steps_done_again_has_changed():
    w = planned(a="", b="a")
    w.done("a")
    w.done("b")
    w.review(accepted=False, redo=("a",))
    w.done("a")
    w.done("b", "changed")
    w.review()
    assert w.results[0].status == "complete"


def test_only_what_the_last_revision_has_opened_is_compared():
    w = planned(a="", b="")
    w.done("a")
    w.done("b")
    w.review(accepted=False, redo=("a",))
    w.done("a", "better")
    w.review(accepted=False, redo=("b",))
    w.done("b", "better, too")
    w.review()
    assert w.results[0].status == "complete"


def test_a_person_can_accept_what_has_not_changed():
    w = world(on_trouble="wait")
    w.plan(plan_of(a=""))
    w.done("a")
    w.review(accepted=False)
    w.done("a")
    assert w.run.state is State.WAITING_HUMAN
    decided(w, "approve")
    assert w.results[0].status == "complete"


def test_an_operator_who_resumes_it_has_it_reviewed_as_it_is():
    w = planned(a="")
    w.done("a")
    w.review(accepted=False)
    w.done("a")
    resumed(w)
    w.review()
    assert w.results[-1].status == "complete"
