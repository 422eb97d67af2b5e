"""Permissions for calls that a person has changed: they hold within the limits of what was proposed."""

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from shared.authorization import Action, ActionKind, Allow, Ask, authorize, digest_of
from tests.support.gate import NOW, Some, situation

PAY = Some("pay", Risk.HIGH, Effect.IRREVERSIBLE, destinations=("to",), magnitudes={"money": "amount"})


def paying(to: list[str], amount: float) -> Action:
    arguments = {"to": to, "amount": amount}
    return Action(
        ActionKind.TOOL_CALL, "c", "pay", PAY, arguments, digest=digest_of("t", "r", "w", "c", "/pay", arguments)
    )


def edit(action: Action, **changes) -> Settlement:
    limits = {"risk": Risk.HIGH, "moves": {"money": 50.0}, "recipients": 2}
    said = {"request_id": "help/1", "answer": "", "asked": "permission", "digest": action.digest}
    text = json.dumps(dict(action.arguments))
    return Settlement(**(said | {"arguments": text, "until": NOW + timedelta(seconds=1)} | limits | changes))


def verdict(action: Action, said: Settlement):
    return authorize(action, situation(settled={"c": said}))


@given(st.lists(st.sampled_from("abcd"), unique=True, max_size=4), st.integers(0, 150))
def test_a_changed_call_is_allowed_within_the_limits_of_the_proposal_and_asked_about_beyond(to, amount):
    action = paying(to, amount)
    ruling = verdict(action, edit(action))
    within = len(to) <= 2 and amount <= 50
    assert (type(ruling), ruling.rule) == (Allow if within else Ask, "approval")


def test_a_changed_call_of_a_higher_risk_is_asked_about_and_the_question_says_in_what_it_goes_further():
    action = paying(["a"], 101)
    ruling = verdict(action, edit(action, moves={"money": 1000.0}))
    assert isinstance(ruling, Ask)
    assert ruling.reason.endswith("goes further: critical risk")


def test_an_edit_without_limits_permits_nothing():
    action = paying(["a"], 1)
    for missing in ({"risk": None}, {"moves": {}}, {"recipients": None}):
        assert isinstance(verdict(action, edit(action, **missing)), Ask)


def test_an_edit_for_another_call_or_too_late_permits_nothing():
    action = paying(["a"], 1)
    for wrong in ({"digest": "0" * 64}, {"until": NOW - timedelta(seconds=1)}):
        ruling = verdict(action, edit(action, **wrong))
        assert (type(ruling), ruling.rule) == (Ask, "risk")
