"""Answers from a run's record: given while the effect of the recorded call stands, and not after that."""

import json
from datetime import timedelta

import pytest

from schemas.acting import ActingCall
from schemas.plan import Effect
from shared.agent.actions.effects import answer_from
from shared.authorization import Action, ActionKind, authorize, sameness_of
from tests.support.gate import NOW, Some, situation
from tests.support.repetition import CLEAN, ONE, PAY, THREE, TWO, acting, done

WRITE, DELETE = (acting(each, Effect.IDEMPOTENT, "path") for each in ("write_file", "delete_file"))
LABEL, UNLABEL = (acting(each, Effect.COMPENSABLE, "issue") for each in ("add_label", "remove_label"))
LAMP, ON, OFF = (acting(each, Effect.IDEMPOTENT) for each in ("lamp__set", "lamp__on", "lamp__off"))


def verdict(tool: Some, arguments: dict, *effected: ActingCall, work: str = THREE, call: str = "call-9") -> str:
    same = sameness_of(tool.name, arguments)
    action = Action(ActionKind.TOOL_CALL, call, tool.name, tool, arguments, None, "digest", same)
    said = authorize(action, situation(effected=effected, work_id=work))
    return f"{type(said).__name__} {said.rule}"


A = {"path": "a.txt"}
X = A | {"text": "x"}
BUG = {"issue": "7", "name": "bug"}


@pytest.mark.parametrize("work", [ONE, THREE])
@pytest.mark.parametrize(
    ("first", "undoing", "then"),
    [
        ((WRITE, X), (DELETE, A), "Allow risk"),
        ((WRITE, X), (WRITE, A | {"text": "y"}), "Allow risk"),
        ((LABEL, BUG), (UNLABEL, BUG), "Ask repetition"),
        (
            (PAY, {"to": "ada", "amount": 1}),
            (acting("refund", Effect.IRREVERSIBLE, "whom"), {"whom": " ADA"}),
            "Ask repetition",
        ),
        ((LAMP, {"lamp": "hall", "to": "on"}), (LAMP, {"lamp": "hall", "to": "off"}), "Allow risk"),
        ((ON, {"lamp": "hall"}), (OFF, {"lamp": "hall"}), "Allow risk"),
        ((WRITE, X), (CLEAN, {"what": "a.txt", "how": "for good"}), "Allow risk"),
        ((WRITE, X), (CLEAN, {"all": True}), "Allow risk"),
        ((WRITE, X), (DELETE, {"path": [f"{n}.txt" for n in range(30)]}), "Allow risk"),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0].name,
)
def test_a_call_whose_effect_was_perhaps_undone_is_not_answered_from_the_record(first, undoing, then, work):
    before = done(*first), done(*undoing, work=ONE if work == ONE else TWO, call="call-2")
    assert verdict(*first, *before, work=work) == then
    perhaps = before[1].model_copy(update={"outcome": "unknown"})
    assert not verdict(*first, before[0], perhaps, work=work).startswith("Known")


@pytest.mark.parametrize(
    "between",
    [
        done(DELETE, {"path": "b.txt"}, TWO),
        done(DELETE, A, TWO, outcome="failed"),
        done(CLEAN, {"what": "b.txt", "how": "for good"}, TWO),
    ],
    ids=["another place", "failed", "undeclared, another place"],
)
def test_a_call_whose_effect_stands_is_answered_from_the_record(between):
    assert verdict(WRITE, X, done(WRITE, X), between) == "Known already_made"


def test_a_call_that_names_no_places_is_answered_from_the_record_only_while_no_other_call_was_made():
    hall = {"lamp": "hall"}
    assert verdict(ON, hall, done(ON, hall)) == "Known already_made"
    assert verdict(ON, hall, done(DELETE, A), done(ON, hall, TWO)) == "Known already_made"
    assert verdict(ON, hall, done(ON, hall), done(DELETE, A, TWO)) == "Allow risk"


def test_steps_that_ran_at_once_are_compared_by_the_clock():
    deleted = done(DELETE, A, TWO, at=NOW + timedelta(seconds=1))
    assert verdict(WRITE, X, deleted, done(WRITE, X, at=NOW)) == "Allow risk"
    assert verdict(WRITE, X, deleted, done(WRITE, X, at=NOW + timedelta(seconds=2))) == "Known already_made"


def test_a_replay_of_the_recorded_call_is_answered_from_the_record_even_if_others_followed():
    before = done(WRITE, X), done(DELETE, A, call="call-2")
    assert verdict(WRITE, X, *before, work=ONE, call="call-1") == "Known already_made"


@pytest.mark.parametrize(("tool", "sentence"), [(WRITE, "answered in the same way"), (PAY, "a person is asked")])
def test_the_model_is_shown_what_calling_once_more_leads_to(tool, sentence):
    arguments = X | {"to": "ada"}
    record = done(tool, arguments)
    assert sentence in json.loads(answer_from(record))["already_made"]["note"]
    again = verdict(tool, arguments, record, done(tool, arguments, THREE, call="call-8"))
    assert again == ("Known already_made" if tool is WRITE else "Ask repetition")
