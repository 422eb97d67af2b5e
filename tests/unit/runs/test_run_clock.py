"""A paused run: its clock stands still, and what people decide meanwhile is kept."""

from datetime import timedelta

import pytest

from schemas.approval import HumanDecided, PauseRun, ResumeRun
from schemas.error import ErrorInfo
from schemas.event import MoveRefused, State
from schemas.step import HandoffFailed
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue
from shared.runs import reissue
from shared.runs.clock import present_deadline
from tests.support.questions import first_asked
from tests.support.run_world import AGENTS, START, World, plan_of

HOUR = timedelta(hours=1)


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def working(**task) -> World:
    world = World(Task(objective="do it", **task)).start()
    world.plan(plan_of(a="", b="a"))
    return world


def paused(world: World) -> World:
    world.tell(command(PauseRun, reason="lunch"))
    return world


def decide(world: World, decision: str) -> None:
    request_id = first_asked(world.run).request_id
    world.tell(command(HumanDecided, request_id=request_id, decision=decision, answer="as I say"))


@pytest.mark.parametrize(("decision", "then"), [("approve", State.EXECUTING), ("reject", State.PLANNING)])
def test_a_decision_on_a_paused_run_is_kept_and_followed_when_it_is_resumed(decision, then):
    w = working()
    w.ask("a")
    paused(w)
    sent = len(w.sent)
    decide(w, decision)
    assert w.run.state is State.PAUSED
    assert not any(isinstance(event, MoveRefused) for event in w.events)
    assert not [each for each in w.sent[sent:] if not isinstance(each.message, DeadlinePassed)]
    w.tell(command(ResumeRun))
    assert w.run.state is then
    assert len(w.sent) > sent


def test_a_pause_longer_than_the_budget_leaves_the_run_the_time_it_had():
    w = working()
    left = w.run.deadline - w.now
    paused(w)
    w.now += HOUR
    w.fire(DeadlinePassed)
    assert w.run.state is State.PAUSED
    w.tell(command(ResumeRun))
    assert (w.run.state, w.run.deadline - w.now) == (State.EXECUTING, left)
    w.fire(DeadlinePassed)
    assert w.run.error.code == "deadline"


def test_a_pause_never_reaches_past_the_deadline_that_the_task_names():
    w = paused(working(deadline=START + timedelta(minutes=10)))
    w.fire(DeadlinePassed)
    w.fire(ResultDue)
    assert (w.run.state, w.results[0].error.code) == (State.FAILED, "deadline")
    assert w.now >= START + timedelta(minutes=10)


def test_time_that_a_person_and_a_pause_took_together_is_given_back_once():
    w = working()
    w.ask("a")
    deadline = w.run.deadline
    w.now += HOUR
    paused(w)
    w.now += HOUR
    assert present_deadline(w.run, w.now) == deadline + 2 * HOUR
    decide(w, "approve")
    w.now += HOUR
    w.tell(command(ResumeRun))
    assert w.run.deadline == deadline + 3 * HOUR


@pytest.mark.parametrize("resumed", [False, True])
def test_a_step_that_timed_out_by_a_deadline_from_before_the_pause_is_retried(resumed):
    w = working()
    a = w.handoff("a")
    paused(w)
    w.now += HOUR
    if resumed:
        w.tell(command(ResumeRun))
    error = ErrorInfo(code="timeout", message="agent data did not finish within 120 s")
    w.tell(w.answer(a, HandoffFailed, error=error))
    if not resumed:
        assert (w.run.state, w.run.steps["a"].status) == (State.PAUSED, "waiting")
        w.tell(command(ResumeRun))
    assert w.run.steps["a"].status == "running"
    w.tell(w.answer(w.handoff("a"), HandoffFailed, error=error))
    assert w.run.state is State.FAILED


def test_the_timer_of_the_tasks_own_deadline_goes_out_again_while_the_run_is_paused():
    w = working(deadline=START + HOUR)
    latest = [each for each in paused(w).sent if isinstance(each.message, DeadlinePassed)]
    assert [each.due for each in latest] == [w.run.deadline, START + HOUR]
    assert [each for each in reissue(w.run, w.now, AGENTS) if isinstance(each.message, DeadlinePassed)] == latest
    w.tell(command(ResumeRun))
    again = reissue(w.run, w.now, AGENTS)
    assert [each.due for each in again if isinstance(each.message, DeadlinePassed)] == [w.run.deadline]
