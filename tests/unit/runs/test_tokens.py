"""An answer is taken from the agent that was asked alone; questions cannot be answered by guessing their id."""

import re
from datetime import timedelta

import pytest

from schemas.event import AnswerIgnored, RunStarted, State
from schemas.log import LoggedEvent
from schemas.step import DoStep, HandoffFailed, HelpAsked, MakePlan, Output, PlanProposed, StepCompleted
from schemas.step_events import StepDispatched
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from shared.errors import TerminalError
from shared.runs import Intake, reissue
from shared.runs.tokens import DEADLINE, RESULT, WAIT, token_for
from tests.support.questions import first_asked
from tests.support.run_world import START, World, plan_of


def executing(secret: str | None = "drawn") -> World:
    world = World(Task(objective="count"))
    world.tell(Intake("run-1", "task-1", world.task, secret=secret))
    world.plan(plan_of(a="", b=""))
    return world


FORGED = {
    "without a token": {"token": None},
    "with a guess": {"token": "0" * 32},
    "with the token of another handoff": {},
    "with its own token in another agent's name": {"agent": "code"},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("kind", [StepCompleted, HelpAsked, HandoffFailed])
def test_an_answer_that_is_not_its_agents_changes_nothing_not_even_what_was_spent(kind, changes):
    world = executing()
    facts = {
        StepCompleted: {"output": Output(answer="forged")},
        HelpAsked: {"question": "may I?"},
        HandoffFailed: {"error": {"code": "broken", "message": "forged"}},
    }[kind]
    step = world.handoff("a")
    changes = changes or {"token": world.handoff("b").token}
    answer = world.answer(step, kind, usage={"model_calls": 50}, models=["m"], **facts).model_copy(update=changes)
    before, count = world.run, len(world.events)
    world.tell(answer)
    assert world.run == before
    assert [(type(each), each.reason) for each in world.events[count:]] == [(AnswerIgnored, "wrong_token")]
    world.open[step.id] = next(each for each in world.sent if each.id == step.id)
    world.done("a")
    assert world.run.steps["a"].status == "done"


def test_an_answer_to_a_handoff_that_was_superseded_counts_what_it_spent_only_with_its_token():
    world = executing()
    first = world.handoff("a")
    world.fail(first)
    late = world.answer(first, StepCompleted, output=Output(answer="late"), usage={"model_calls": 2})
    world.tell(late.model_copy(update={"token": "0" * 32}))
    assert world.run.usage.model_calls == 0
    world.tell(late)
    assert world.run.usage.model_calls == 2


def test_an_answer_to_what_was_not_asked_yet_is_refused_at_once_when_it_is_forged():
    world = executing()
    ahead = world.handoff("a").model_copy(update={"id": "run-1/a/0.0.9", "token": None})
    world.tell(world.answer(ahead, StepCompleted, output=Output(answer="forged")))
    assert world.events[-1].reason == "wrong_token"


def test_handoffs_of_runs_that_an_earlier_version_began_are_answered_without_a_token_by_their_agent_alone():
    world = executing(secret=None)
    step = world.handoff("a")
    assert step.token is None
    other = world.answer(step, StepCompleted, output=Output(answer="x")).model_copy(update={"agent": "code"})
    world.tell(other)
    assert world.events[-1].reason == "wrong_agent"
    world.open[step.id] = next(each for each in world.sent if each.id == step.id)
    world.done("a")
    assert world.run.steps["a"].status == "done"


def test_a_request_resent_after_a_rebuild_carries_the_same_tokens():
    world = executing()
    sent = {each.id: each.message for each in world.sent}
    again = [each for each in reissue(world.run, START, {}) if isinstance(each.message, DoStep | DeadlinePassed)]
    assert len(again) == 3
    for each in again:
        assert each.message.token == sent[each.id].token
    tokens = [each.token for each in sent.values() if isinstance(each, DoStep | MakePlan | DeadlinePassed)]
    assert len(set(tokens)) == len(tokens) == 4


def asking() -> World:
    world = executing()
    world.ask("a")
    world.done("b")
    return world


def settling() -> World:
    world = executing()
    world.fail(world.handoff("a"), retryable=False)
    return world


@pytest.mark.parametrize(
    ("begin", "kind"),
    [(executing, DeadlinePassed), (asking, WaitExpired), (settling, ResultDue)],
)
@pytest.mark.parametrize("token", [None, "0" * 32, "another timer's"])
def test_a_timer_that_the_orchestrator_has_not_set_is_refused_and_its_own_takes_effect(begin, kind, token):
    world = begin()
    [genuine] = world.waiting(kind)
    others = {DeadlinePassed: WAIT, WaitExpired: RESULT, ResultDue: DEADLINE}
    token = token_for(world.run, others[kind]) if token == "another timer's" else token
    before = world.run
    world.now += timedelta(days=2)
    with pytest.raises(TerminalError) as refused:
        world.tell(genuine.model_copy(update={"token": token}))
    assert (refused.value.code, world.run) == ("wrong_token", before)
    assert not world.run.over
    world.tell(genuine)
    assert world.run.state is (State.PLANNING if kind is WaitExpired else State.FAILED)
    assert world.run.over or kind is not ResultDue


def test_timers_of_runs_that_an_earlier_version_began_need_no_token():
    world = executing(secret=None)
    world.ask("a")
    world.done("b")
    [expired] = world.waiting(WaitExpired)
    assert expired.token is None
    world.fire(WaitExpired)
    assert world.run.state is State.PLANNING


def test_ids_of_questions_cannot_be_guessed_and_are_short_enough_to_be_typed():
    asked = []
    for secret in ("one", "two"):
        world = executing(secret)
        world.ask("a")
        asked.append(first_asked(world.run).request_id)
    assert len(set(asked)) == 2
    assert all(re.fullmatch(r"run-1/help/1-[a-z2-7]{10}", each) for each in asked)


def test_followers_are_not_shown_the_secret_nor_any_token():
    world = executing("drawn")
    world.done("a")
    tokens = [each.message.token for each in world.sent if isinstance(each.message, DoStep | MakePlan)]
    for event in world.events:
        logged = LoggedEvent(type=event.wire_type(), data=event)
        as_read = LoggedEvent.model_validate_json(logged.model_dump_json())
        for shown in (logged.shown(), as_read.shown()):
            assert not any(each in shown for each in ("drawn", *tokens)), event
            assert LoggedEvent.model_validate_json(shown).type == event.wire_type()
    kept = LoggedEvent(type="waggle.run-started.v1", data=world.events[0]).model_dump_json()
    assert "drawn" in kept
    assert isinstance(world.events[0], RunStarted)
    assert any(isinstance(each, StepDispatched) for each in world.events)


def test_the_result_holds_no_token():
    world = executing("drawn")
    world.done("a")
    world.done("b")
    world.review()
    [result] = world.results
    tokens = [each.message.token for each in world.sent if isinstance(each.message, DoStep | MakePlan)]
    assert not any(each in result.model_dump_json() for each in ("drawn", *tokens))


def test_a_plan_of_another_agent_than_the_planner_is_refused():
    world = World(Task(objective="count")).start()
    [asked] = world.waiting(MakePlan)
    forged = world.answer(asked, PlanProposed, plan=plan_of(a="")).model_copy(update={"agent": "data"})
    world.tell(forged)
    assert world.run.plan is None
