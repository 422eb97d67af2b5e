"""The end of a run that agents work for: its state moves at once, its one result says what they spent and did."""

from datetime import timedelta

import pytest

from schemas.acting import ActingCall
from schemas.approval import CancelRun, CarryOut, HumanDecided, ResumeRun
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import ResultReleased, State
from schemas.step import DoStep, HandoffFailed, HelpAsked, MakePlan, Output, StepCompleted
from schemas.task import Result, Task
from schemas.timer import DeadlinePassed, ResultDue
from shared.runs import Intake, awaited_handoffs, decide, end_unread, give_up, reissue
from shared.runs.ending import REPORT_WITHIN
from shared.runs.run import TOO_LARGE
from tests.support.questions import first_asked
from tests.support.run_world import AGENTS, World, plan_of, reworded

SPENT = Usage(prompt_tokens=20, completion_tokens=3, model_calls=2, tool_calls=1)


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def working(**steps: str) -> World:
    world = World(Task(objective="do it")).start()
    world.plan(plan_of(**steps))
    return world


def report(world: World, step: DoStep, **facts) -> None:
    """Answer of a worker that was stopped at its next call."""
    error = ErrorInfo(code="unwanted", message="the run does not await this handoff", retryable=True)
    world.tell(world.answer(step, HandoffFailed, error=error, usage=SPENT, **facts))


def ended(world: World, how: str) -> World:
    if how == "cancelled":
        world.tell(command(CancelRun, reason="no need"))
    elif how == "deadline":
        world.fire(DeadlinePassed)
    else:
        world.fail(world.handoff("other"), retryable=False)
    return world


@pytest.mark.parametrize("how", ["cancelled", "deadline", "failed"])
def test_the_result_waits_for_those_at_work_and_counts_what_they_spent(how):
    w = working(a="", b="", other="")
    a, b, other = w.handoff("a"), w.handoff("b"), w.handoff("other")
    ended(w, how)
    assert w.run.state is (State.CANCELLED if how == "cancelled" else State.FAILED)
    assert (w.results, awaited_handoffs(w.run)) == ([], [])
    report(w, a, acted=["mail|eva@example.com"], judged=[])
    report(w, b)
    if how != "failed":
        report(w, other)
    (result,) = w.results
    assert (result.usage.model_calls, result.caveats) == (4 if how == "failed" else 6, [])
    assert [each.usage.model_calls for each in result.steps][:2] == [2, 2]
    assert {each.status for each in result.steps} == {"failed"}
    w.fire(ResultDue)
    assert len(w.results) == 1


def test_a_result_with_nothing_in_flight_is_published_at_once():
    w = working(a="")
    w.ask("a")
    w.tell(command(CancelRun, reason="no need"))
    assert ([each.status for each in w.results], w.run.settling) == (["cancelled"], False)
    assert not w.waiting(ResultDue)


def test_an_agent_that_does_not_report_in_time_is_a_caveat_and_is_counted_when_it_does():
    w = working(a="")
    a = w.handoff("a")
    ended(w, "cancelled")
    w.fire(ResultDue)
    (result,) = w.results
    assert "may still have completed" in result.caveats[0]
    assert isinstance(w.events[-1], ResultReleased)
    assert w.events[-1].unanswered == [a.id]
    report(w, a)
    assert (len(w.results), w.run.usage.model_calls) == (1, 2)


def test_a_step_that_is_done_when_its_run_has_ended_is_counted_and_nothing_follows_from_it():
    w = working(a="", b="a")
    a = w.handoff("a")
    ended(w, "cancelled")
    w.tell(w.answer(a, StepCompleted, output=Output(answer="done"), usage=SPENT))
    assert (w.results[0].usage, w.dispatched) == (SPENT, ["a"])


def test_a_step_of_a_dropped_plan_is_not_awaited_and_its_spending_reaches_the_result():
    w = working(a="", b="")
    b = w.handoff("b")
    w.ask("a")
    request_id = first_asked(w.run).request_id
    w.tell(command(HumanDecided, request_id=request_id, decision="reject", answer="not so"))
    assert b.id not in awaited_handoffs(w.run)
    w.plan(reworded(plan_of(a=""), 1))
    w.open.pop(b.id)
    w.done("a")
    w.review()
    assert (w.run.state, w.results) == (State.COMPLETE, [])
    report(w, b)
    assert (w.results[0].status, w.results[0].usage.model_calls) == ("complete", 2)


def test_a_run_that_is_resumed_while_it_settles_has_its_result_before():
    w = working(a="", b="")
    a = w.handoff("a")
    w.fail(w.handoff("b"), retryable=False)
    assert (w.run.settling, w.results) == (True, [])
    w.tell(command(ResumeRun))
    assert ([each.status for each in w.results], w.run.state) == (["failed"], State.EXECUTING)
    assert w.run.unanswered == []
    w.fire(ResultDue)
    assert len(w.results) == 1
    report(w, a)
    assert w.run.usage.model_calls == 2
    w.done("a")
    w.done("b")
    w.review()
    assert [each.status for each in w.results] == ["failed", "complete"]


def test_a_rebuild_resends_the_timer_while_the_result_waits_and_then_the_result():
    w = working(a="")
    a = w.handoff("a")
    ended(w, "cancelled")
    timer, _ = reissue(w.run, w.now, AGENTS)  # the deadline releases it, too
    assert (timer.message, timer.due) == (w.waiting(ResultDue)[0], w.run.finished + REPORT_WITHIN)
    report(w, a)
    (again,) = reissue(w.run, w.now, AGENTS)
    assert isinstance(again.message, Result)
    assert again.message == w.results[0]


@pytest.mark.parametrize("late", ["deadline", "answer", "forged answer", "order"])
def test_a_result_whose_timer_is_lost_is_published_with_the_next_message_after_its_time(late):
    w = working(a="", b="")
    a, b = w.handoff("a"), w.handoff("b")
    ended(w, "cancelled")
    report(w, b)
    assert w.results == []
    w.now += REPORT_WITHIN + timedelta(seconds=1)
    if late == "deadline":
        w.fire(DeadlinePassed)
    elif late == "order":
        w.tell(command(CancelRun, reason="again"))
    else:
        facts = {"token": "guessed"} if late == "forged answer" else {}
        w.tell(w.answer(b, StepCompleted, output=Output(answer="done"), **facts))
    (result,) = w.results
    assert (result.status, w.run.over) == ("cancelled", True)
    assert w.events[-1].unanswered == [a.id]


def test_a_result_that_turns_out_to_be_too_large_is_published_without_what_steps_brought():
    w = working(a="", b="")
    w.done("a")
    ended(w, "cancelled")
    decision = give_up(w.run, w.now, "too large")
    (sent,) = decision.messages
    assert (sent.message.status, sent.message.error.code, sent.message.answer) == ("cancelled", TOO_LARGE, None)
    assert decision.run.over


def test_the_timer_of_an_earlier_end_releases_nothing():
    w = working(a="", b="")
    w.fail(w.handoff("b"), retryable=False)
    early = w.waiting(ResultDue)[0]
    w.tell(command(ResumeRun))
    w.fail(w.handoff("b"), retryable=False)
    assert w.run.settling
    assert decide(w.run, early, w.now, AGENTS).events == ()


def test_nothing_is_carried_out_of_a_run_without_shown_calls():
    w = working(a="")
    w.done("a")
    w.review()
    w.tell(command(CarryOut, digest="0" * 64))
    assert (w.run.state, len(w.results)) == (State.COMPLETE, 1)


def test_a_question_or_a_plan_that_comes_after_the_end_settles_as_well():
    w = World(Task(objective="do it")).start()
    asked = w.waiting(MakePlan)[0]
    ended(w, "cancelled")
    w.tell(w.answer(asked, HelpAsked, question="may I?", usage=SPENT))
    assert w.results[0].usage == SPENT


def test_the_end_of_an_unreadable_run_lists_the_calls_that_were_known():
    w = working(a="", b="a")
    about = {"agent": "data", "tool": "pay", "effect": "irreversible", "digest": "d", "outcome": "made"}
    w.done("a", effected=[ActingCall(work_id="run-1/a/0.0", call="call-1", **about)], acted=["pay|eva"])
    stand_in = Intake("run-1", "task-1", w.task, unread=True)
    decision = end_unread(stand_in, w.now, ErrorInfo(code="incomplete_log", message="a gap"), w.run)
    (sent,) = decision.messages
    assert ([each.call for each in sent.message.acting_calls], decision.run.acted) == (["call-1"], ["pay|eva"])
    assert sent.message.incomplete_effects
