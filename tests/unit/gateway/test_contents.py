"""The run of a caller who may see states alone: what is content is in no field of the answers."""

import pytest

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.api.runs import RunView
from schemas.registry import EVENTS
from services.gateway.access import Caller
from services.gateway.contents import _QUESTIONS, _STATE, shown_event, shown_run, shown_summaries, shown_trace
from shared.access.principals import Principal
from shared.blackboard import LiveEvent
from tests.support.console import summary, trace, view

SECRET = "the customer's number is 4711"


def caller(*roles: str) -> Caller:
    principal = Principal(sha256="0" * 64, tenants=("acme",), roles=roles)
    return Caller("ann", principal, None, {})


@pytest.fixture
def run() -> RunView:
    """A run with the secret wherever contents are."""
    about = view(SECRET).model_dump()
    public = {"objective": "count", "reason": SECRET, "error": None, "parked": [], "absent": []}
    known = {"objective": "count", "error": None, "data": {"n": SECRET}, "handed_to": "code", "must_answer": "last"}
    steps = [{**step, **known} for step in about["steps"]]
    plan = {**about["plan"], "steps": [{**each, "objective": "count"} for each in about["plan"]["steps"]]}
    return RunView.model_validate({**about, **public, "steps": steps, "plan": plan, "models": ["m"], "task_id": "t"})


def test_a_viewer_gets_the_state_and_nothing_of_the_contents(run):
    shown = shown_run(run, caller("viewer", "operate"))
    assert SECRET not in shown.model_dump_json()
    assert shown.waiting_for is None
    assert [(each.name, each.passed) for each in shown.evaluation.checks] == [("completed", True), ("sources", False)]
    for field in _STATE:
        assert getattr(shown, field) == getattr(run, field)
    assert [(each.id, each.status, each.attempts) for each in shown.steps] == [("data", "failed", 2)]


def test_an_approver_gets_the_question_and_nothing_else_of_the_contents(run):
    shown = shown_run(run, caller("decide"))
    assert shown.waiting_for == run.waiting_for
    assert SECRET not in shown.model_copy(update={"waiting_for": None, "questions": [], "reason": ""}).model_dump_json()


def test_with_the_role_contents_a_run_is_shown_as_it_is(run):
    for roles in (("read",), ("viewer", "contents"), ("admin",)):
        assert shown_run(run, caller(*roles)) == run
        assert shown_trace(trace(SECRET), caller(*roles)) == trace(SECRET)


def test_every_field_of_a_run_is_state_or_content_by_decision():
    assert set(RunView.model_fields) - {"plan", "steps", "reason", "evaluation"} - _STATE - _QUESTIONS == set()


def test_notes_and_questions_of_a_trace_are_withheld():
    notes = [each.note for work in shown_trace(trace(SECRET), caller("viewer")).works for each in work.attempts]
    assert set(notes) == {""}
    asked = [work.objective for work in shown_trace(trace(SECRET), caller("viewer")).works if work.agent == "person"]
    assert asked == [""]
    asked = [work.objective for work in shown_trace(trace(SECRET), caller("decide")).works if work.agent == "person"]
    assert asked == [SECRET]


def test_a_question_is_withheld_as_the_reason_of_a_state_and_other_reasons_are_not(run):
    assert shown_run(run, caller("viewer")).reason == "a person must decide"
    assert shown_run(run, caller("decide")).reason == SECRET
    states = [summary("why", e.State.WAITING_HUMAN), summary("why", e.State.FAILED)]
    assert [each.reason for each in shown_summaries(states, caller("viewer"))] == ["a person must decide", "why"]
    data = {"source": "EXECUTING", "target": "WAITING_HUMAN", "reason": SECRET}
    moved = LiveEvent("1-0", e.Moved.wire_type(), data)
    assert SECRET not in shown_event(moved, caller("viewer")).json
    assert SECRET in shown_event(moved, caller("read")).json


def test_events_with_contents_are_withheld_and_those_that_end_a_stream_are_not():
    def shown(role: str) -> set[str]:
        events = (LiveEvent("1-0", kind, {"target": e.State.FAILED}) for kind in EVENTS)
        return {each.type for each in events if shown_event(each, caller(role))}

    assert {e.Moved.wire_type(), e.ResultReleased.wire_type()} <= shown("viewer")
    withheld = {
        step_events.StepDone,
        step_events.StepHandedOff,
        step_events.StepAsked,
        q.HelpRequested,
        q.HelpAnswered,
        e.PlanAccepted,
        e.RunStarted,
        e.ReviewGiven,
    }
    assert not shown("viewer") & {kind.wire_type() for kind in withheld}
    assert shown("read") == set(EVENTS)
