"""The run machine where it is easy to get wrong: clocks, what people said, stray answers, hard deadlines."""

from datetime import timedelta

import pytest

from schemas.approval import CancelRun, HumanDecided, PauseRun, ResumeRun
from schemas.budget import Usage
from schemas.event import AnswerIgnored, MoveRefused, State
from schemas.step import MakePlan, Output, PlanProposed, ResultReviewed, StepCompleted
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from tests.support.questions import first_asked
from tests.support.run_world import START, World, plan_of, reworded


def world(**task) -> World:
    return World(Task(objective="do it", **task)).start()


def planned(plan, **task) -> World:
    made = world(**task)
    made.plan(plan)
    return made


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def decided(w: World, decision: str, answer: str = "") -> None:
    """A person answers what the run asks."""
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision=decision, answer=answer))


def test_a_deadline_fired_by_a_clock_that_is_a_little_ahead_still_ends_the_run():
    w = world()
    w.now = w.run.deadline - timedelta(milliseconds=20)
    w.tell(w.waiting(DeadlinePassed)[-1])
    w.fire(ResultDue)
    assert (w.run.state, w.results[0].error.code) == (State.FAILED, "deadline")


def test_the_timer_of_a_deadline_that_was_moved_ends_nothing():
    w = planned(plan_of(a=""))
    (timer,) = w.waiting(DeadlinePassed)
    w.ask("a")
    w.now += timedelta(hours=2)
    decided(w, "approve", "yes")
    w.tell(timer)
    assert w.run.state is State.EXECUTING
    w.fire(DeadlinePassed)
    w.fire(ResultDue)
    assert w.results[0].error.code == "deadline"


def test_a_single_agent_hears_why_a_person_rejected_what_it_asked():
    w = world(shape="single", agent="data")
    w.ask("data")
    decided(w, "reject", "too risky")
    assert w.handoff("data").feedback == ["too risky"]


def test_a_planner_that_received_the_rejection_settles_it_and_the_steps_restart():
    w = planned(plan_of(a=""))
    w.ask("a")
    decided(w, "reject", "too risky")
    w.plan(plan_of(b=""))
    assert w.handoff("b").feedback == []


def test_an_agent_that_asks_again_keeps_the_answers_it_had_and_the_reasons_of_the_reviewer():
    w = planned(plan_of(a=""))
    w.done("a")
    w.review(accepted=False, redo=("a",))
    for answer in ("the year is 2024", "in euros"):
        w.ask("a")
        decided(w, "approve", answer)
    assert w.handoff("a").feedback == ["because", "the year is 2024", "in euros"]


def test_an_agent_learns_that_a_person_agreed_without_a_word():
    w = planned(plan_of(a=""))
    w.ask("a")
    decided(w, "approve")
    assert w.handoff("a").feedback == ["approved: may I?"]


def test_a_planner_keeps_a_persons_reason_when_its_next_plan_is_refused():
    w = planned(plan_of(a=""))
    w.ask("a")
    decided(w, "reject", "too risky")
    w.plan(plan_of(a="z"))
    w.plan(reworded(plan_of(a="z"), 1))
    assert w.waiting(MakePlan)[0].feedback == ["too risky", "step `a` depends on `z`, which does not exist"]


@pytest.mark.parametrize("kind", [StepCompleted, ResultReviewed])
def test_an_answer_that_does_not_fit_what_was_asked_is_ignored_on_the_record_and_the_right_one_still_counts(kind):
    w = world()
    (asked,) = w.waiting(MakePlan)
    facts = {"output": Output(answer="?")} if kind is StepCompleted else {"accepted": True}
    w.tell(w.answer(asked, kind, **facts))
    assert isinstance(w.events[-1], AnswerIgnored)
    w.tell(w.answer(asked, PlanProposed, plan=plan_of(a="")))
    assert w.dispatched == ["a"]


def test_a_plan_proposed_by_the_agent_of_a_step_is_ignored_on_the_record():
    w = planned(plan_of(a=""))
    w.tell(w.answer(w.handoff("a"), PlanProposed, plan=plan_of(b="")))
    assert isinstance(w.events[-1], AnswerIgnored)
    assert list(w.run.steps) == ["a"]


def test_a_wait_for_a_person_never_moves_the_deadline_past_the_one_the_task_names():
    hard = START + timedelta(seconds=200)
    w = planned(plan_of(a=""), deadline=hard)
    w.ask("a")
    w.now += timedelta(seconds=150)
    decided(w, "approve", "yes")
    assert w.run.deadline == hard
    w.fire(DeadlinePassed)
    w.fire(ResultDue)
    assert w.results[0].error.code == "deadline"


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_that_waits_for_a_person_ends_when_its_result_is_of_no_use_any_more(paused):
    w = planned(plan_of(a=""), deadline=START + timedelta(seconds=60))
    w.ask("a")
    if paused:
        w.tell(command(PauseRun, reason="lunch"))
    w.fire(DeadlinePassed)
    w.fire(ResultDue)
    assert (w.run.state, w.results[0].error.code) == (State.FAILED, "deadline")
    assert w.now < START + timedelta(minutes=2)


def test_the_timer_of_an_answered_question_does_not_end_the_wait_for_the_next_one():
    w = planned(plan_of(a=""))
    w.ask("a")
    (first,) = w.waiting(WaitExpired)
    decided(w, "approve", "yes")
    w.ask("a")
    w.tell(first)
    assert w.run.state is State.WAITING_HUMAN
    w.now = first_asked(w.run).expires
    w.tell(w.waiting(WaitExpired)[-1])
    assert w.run.feedback == ["no decision in time: may I?"]


def test_a_question_that_expires_while_the_run_is_paused_has_its_consequence_when_it_is_resumed():
    w = planned(plan_of(a=""))
    w.ask("a")
    w.tell(command(PauseRun, reason="lunch"))
    w.fire(WaitExpired)
    assert w.run.state is State.PAUSED
    w.tell(command(ResumeRun))
    assert (w.run.state, w.run.feedback) == (State.PLANNING, ["no decision in time: may I?"])


def test_a_new_plan_after_a_rejected_result_gets_a_new_review():
    w = planned(plan_of(a=""), on_trouble="wait")
    for number in range(3):
        w.done("a", f"try {number}")
        w.review(accepted=False)
    decided(w, "reject", "start over")
    w.plan(plan_of(b=""))
    w.done("b", "better")
    w.review()
    assert (w.run.state, w.results[0].answer) == (State.COMPLETE, "better")


def test_a_result_a_person_accepts_is_complete_though_the_reviewer_refused_it():
    w = planned(plan_of(a=""), on_trouble="wait")
    for number in range(3):
        w.done("a", f"try {number}")
        w.review(accepted=False)
    decided(w, "approve")
    assert w.results[0].status == "complete"


def test_a_reviewer_who_names_steps_that_do_not_exist_has_the_last_ones_done_again():
    w = planned(plan_of(a="", b="a"))
    w.done("a")
    w.done("b")
    w.review(accepted=False, redo=("nothing",))
    assert w.dispatched == ["a", "b", "b"]


def test_a_step_done_again_shows_what_both_times_cost():
    w = planned(plan_of(a=""))
    for tokens in (5, 7):
        spent = {"usage": Usage(prompt_tokens=tokens), "seconds": 1.5}
        w.tell(w.answer(w.handoff("a"), StepCompleted, output=Output(answer=f"a {tokens}"), **spent))
        w.review(accepted=tokens == 7)
    (step,) = w.results[0].steps
    assert (step.usage.prompt_tokens, step.seconds, w.results[0].usage.prompt_tokens) == (12, 3.0, 12)


def test_a_router_carries_its_one_step_to_the_result():
    w = planned(plan_of(a=""), shape="router")
    w.done("a", "the answer")
    w.review()
    assert (w.results[0].status, w.results[0].answer) == ("complete", "the answer")


@pytest.mark.parametrize("end", ["COMPLETE", "REJECTED", "FAILED", "CANCELLED"])
def test_commands_and_decisions_leave_an_ended_run_unchanged_except_for_a_record(end):
    w = world(shape="single", agent="nobody") if end == "REJECTED" else planned(plan_of(a=""))
    if end == "COMPLETE":
        w.done("a")
        w.review()
    elif end == "FAILED":
        w.fire(DeadlinePassed)
    elif end == "CANCELLED":
        w.tell(command(CancelRun, reason="no need"))
    run, count = w.run, len(w.events)
    assert run.state == end
    w.tell(command(PauseRun, reason="lunch"))
    if end != "FAILED":
        w.tell(command(ResumeRun))
    w.tell(command(CancelRun, reason="no need"))
    w.tell(command(HumanDecided, request_id="run-1/help/1", decision="approve"))
    assert w.run == run
    assert [type(event) for event in w.events[count:]] == [MoveRefused] * (3 if end == "FAILED" else 4)
    w.fire(ResultDue)
    assert len(w.results) == 1


@pytest.mark.parametrize("state", ["PLANNING", "EXECUTING", "REVIEWING", "WAITING_HUMAN"])
def test_a_run_can_be_paused_in_any_resting_state_and_resumes_from_there(state):
    w = world() if state == "PLANNING" else planned(plan_of(a=""))
    if state == "REVIEWING":
        w.done("a")
    if state == "WAITING_HUMAN":
        w.ask("a")
    sent = len(w.sent)
    w.tell(command(PauseRun, reason="lunch"))
    w.tell(command(PauseRun, reason="lunch again"))
    assert (w.run.state, type(w.events[-1])) == (State.PAUSED, MoveRefused)
    w.tell(command(ResumeRun))
    assert (w.run.state, len(w.sent)) == (State(state), sent)
