"""Answers from a run's record: given while the effect of the recorded call stands, and not after that."""

import json
from dataclasses import replace
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
        ((WRITE, X), (DELETE, {"path": "A\uff0eTXT"}), "Allow risk"),
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


def paying(*places: str, effect: Effect = Effect.COMPENSABLE, name: str = "pay") -> Some:
    return replace(acting(name, effect, *places), magnitudes={"money": "amount"})


IBAN = {"to": "DE89 3704 0044", "amount": 10, "memo": "rent"}


@pytest.mark.parametrize("effect", [Effect.COMPENSABLE, Effect.IRREVERSIBLE])
@pytest.mark.parametrize("places", [("to",), ()], ids=["declared", "undeclared"])
@pytest.mark.parametrize("to", ["de8937040044", "\uff24\uff2589-3704-0044"], ids=["spaces", "width"])
def test_a_payment_is_known_however_its_destination_is_written(effect, places, to):
    tool, then = paying(*places, effect=effect), {"to": to, "amount": 10.0, "memo": "rent, once more"}
    assert verdict(tool, then, done(tool, IBAN), work="run-1/new/1.0") == "Ask repetition"
    assert verdict(tool, then, done(tool, IBAN), work=TWO) == "Ask repetition"
    other = paying(*places, effect=effect, name="wire")
    assert verdict(other, then, done(tool, IBAN), work=TWO) == "Ask repetition"


def test_a_mail_address_is_known_with_and_without_a_name():
    tool = acting("mail", Effect.IRREVERSIBLE, "to")
    before = done(tool, {"to": "Ada L. <ada@example.org>"})
    assert verdict(tool, {"to": "ada@example.org"}, before, work=TWO) == "Ask repetition"
    assert verdict(tool, {"to": "bob@example.org"}, before, work=TWO) == "Allow risk"


def test_a_payment_of_a_sum_that_is_no_number_is_known():
    tool, wire = paying("to"), paying("to", name="wire")
    odd = IBAN | {"amount": "1.000,00"}
    assert verdict(wire, odd, done(tool, odd), work=TWO) == "Ask repetition"


@pytest.mark.parametrize("effect", [Effect.COMPENSABLE, Effect.IRREVERSIBLE])
def test_after_a_dropped_plan_a_tool_without_destinations_asks_before_a_similar_call(effect):
    tool, successor = acting("post", effect), "run-1/new/1.0"
    before = done(tool, {"room": "7", "text": "hello"})
    same, other = {"room": "7", "text": "good day"}, {"room": "8", "text": "good day"}
    lasting = effect is Effect.IRREVERSIBLE
    assert verdict(tool, same, before, work=successor) == "Ask repetition"
    assert verdict(tool, other, before, work=successor) == ("Ask repetition" if lasting else "Allow risk")
    assert verdict(tool, same, before, work=TWO) == "Allow risk"


def test_another_payment_is_no_repetition():
    tool, undeclared = paying("to"), paying()
    for other in ({"to": "DE90", "amount": 10}, IBAN | {"amount": 11}):
        assert verdict(tool, other, done(tool, IBAN), work=TWO) == "Allow risk"
    ada = done(undeclared, {"to": "ada", "amount": 10})
    assert verdict(undeclared, {"to": "bob", "amount": 10}, ada, work=TWO) == "Allow risk"
