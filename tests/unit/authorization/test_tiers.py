"""Risk tiers of the gate, and the model's own confidence in a call."""

from dataclasses import replace

import pytest

from schemas.plan import Effect, Risk
from shared.authorization import Action, ActionKind, Allow, Ask, authorize, parse_gate
from tests.support.gate import Some, situation

NOTE = Some("note", Risk.MEDIUM, Effect.COMPENSABLE, destinations=())


def calling(tool: Some, confidence: float | None = None) -> Action:
    return Action(ActionKind.TOOL_CALL, "c", tool.name, tool, {"text": "x"}, stated_confidence=confidence)


def test_the_shipped_tiers_differ_from_one_another():
    risk = parse_gate().of("default").risk
    assert [risk[each] for each in Risk] == ["allow", "notify", "ask", "block"]


@pytest.mark.parametrize(
    ("tool", "notified"),
    [
        (NOTE, True),
        (replace(NOTE, effect=Effect.READ), False),
        (replace(NOTE, local=True), False),
        (replace(NOTE, risk=Risk.LOW), False),
    ],
    ids=["acts", "reads", "local", "low"],
)
def test_people_are_notified_of_medium_calls_that_act_outside_the_run(tool, notified):
    verdict = authorize(calling(tool), situation())
    assert isinstance(verdict, Allow)
    assert verdict.notify is notified


def test_a_critical_call_asks():
    verdict = authorize(calling(replace(NOTE, risk=Risk.CRITICAL)), situation())
    assert isinstance(verdict, Ask)
    assert verdict.risk is Risk.CRITICAL


@pytest.mark.parametrize(
    ("effect", "inputs", "stated", "asks"),
    [
        (Effect.IRREVERSIBLE, 1.0, None, False),
        (Effect.IRREVERSIBLE, 1.0, 0.5, False),
        (Effect.IRREVERSIBLE, 1.0, 0.49, True),
        (Effect.IRREVERSIBLE, 0.4, 1.0, True),
        (Effect.COMPENSABLE, 1.0, 0.3, False),
        (Effect.COMPENSABLE, 1.0, 0.2, True),
    ],
)
def test_the_lower_of_the_models_own_confidence_and_that_of_its_inputs_counts(effect, inputs, stated, asks):
    tool = replace(NOTE, risk=Risk.LOW, effect=effect)
    verdict = authorize(calling(tool, stated), situation(confidence=inputs))
    assert (type(verdict), verdict.rule) == ((Ask, "confidence") if asks else (Allow, "risk"))
