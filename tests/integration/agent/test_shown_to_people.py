"""Facts that a question shows to people, and the model's own confidence in a call."""

import json

import pytest

from schemas.plan import Effect, Risk
from schemas.step import HelpAsked, StepCompleted
from shared.agent.tools.confidence import CONFIDENCE
from shared.tools import tool
from tests.support.agent_loop import FINAL, add, agent, answer, calling, handoff, scripted, sent, worker

__all__ = ["agent", "worker"]

paid: list[tuple[str, float]] = []


@tool(risk=Risk.MEDIUM, effect=Effect.COMPENSABLE, destinations=("to",), magnitudes={"money": "amount"})
async def pay(to: str, amount: float) -> str:
    """Pay someone."""
    paid.append((to, amount))
    return "paid"


@pytest.fixture
def paying(agent):
    paid.clear()
    agent.tools = [add, pay]
    return agent


async def test_only_tools_that_are_hard_to_undo_or_risky_take_a_confidence(worker, paying, model):
    await scripted(model, paying, FINAL)
    _, journal = await answer(worker, handoff(paying))
    offered = {each["function"]["name"]: each["function"]["parameters"] for each in journal["think-1/turn-1"]["tools"]}
    assert CONFIDENCE not in offered["add"]["properties"]
    assert offered["pay"]["properties"][CONFIDENCE]["maximum"] == 1
    assert CONFIDENCE not in offered["pay"]["required"]


async def test_the_models_own_low_confidence_leads_to_a_question_that_shows_it(worker, paying, model):
    await scripted(model, paying, calling("pay", to="ada", amount=5, **{CONFIDENCE: 0.1}), FINAL)
    asked, _ = await answer(worker, handoff(paying))
    assert isinstance(asked, HelpAsked)
    shown = asked.proposal
    assert (shown.rule, shown.stated_confidence, shown.confidence) == ("confidence", 0.1, 1.0)
    assert json.loads(shown.arguments) == {"to": "ada", "amount": 5}
    assert (shown.moves, shown.recipients) == ({"money": 5.0}, 1)
    assert shown.parameters == pay.schema
    assert paid == []


async def test_the_tool_never_receives_the_confidence_and_the_model_keeps_its_own_words(worker, paying, model):
    await scripted(model, paying, calling("pay", to="ada", amount=5, **{CONFIDENCE: 0.9}), FINAL)
    reply, journal = await answer(worker, handoff(paying))
    assert isinstance(reply, StepCompleted)
    assert paid == [("ada", 5.0)]
    said = journal["think-1/turn-2"]["added"][0]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"])[CONFIDENCE] == 0.9


async def test_calls_that_differ_in_their_confidence_only_are_equal(worker, paying, model):
    once = [{"name": "pay", "arguments": {"to": "ada", "amount": 5, CONFIDENCE: each}} for each in (0.9, 0.8)]
    await scripted(model, paying, {"when": {"turn": 0}, "reply": {"calls": once}}, FINAL)
    await answer(worker, handoff(paying))
    assert paid == [("ada", 5.0)]


@pytest.mark.parametrize("value", [1.5, -1, "high", True])
async def test_a_confidence_that_is_no_number_from_0_to_1_is_an_error_for_the_model(worker, paying, model, value):
    await scripted(model, paying, calling("pay", to="ada", amount=5, **{CONFIDENCE: value}), FINAL)
    reply, journal = await answer(worker, handoff(paying))
    assert isinstance(reply, StepCompleted)
    assert paid == []
    told = json.loads(journal["think-1/turn-1/call-1/refused"])["error"]
    assert told["code"] == "invalid_arguments"
    assert CONFIDENCE in told["message"]


async def test_every_verdict_on_a_tool_call_has_its_risk_and_medium_ones_are_to_be_notified(worker, paying, model):
    calls = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "pay", "arguments": {"to": "ada", "amount": 5}}]
    await scripted(model, paying, {"when": {"turn": 0}, "reply": {"calls": calls}}, FINAL)
    reply, _ = await answer(worker, handoff(paying))
    judged = [(each.name, each.risk, each.notify) for each in reply.judged if each.action == "tool_call"]
    assert judged == [("add", Risk.LOW, False), ("pay", Risk.MEDIUM, True)]
    assert [each.risk for each in reply.judged if each.action != "tool_call"] == [None] * 3


async def test_a_question_about_an_unknown_outcome_shows_its_circumstances(worker, agent, model):
    sent.clear()
    await scripted(model, agent, calling("send_and_break", text="hello"), FINAL)
    asked, _ = await answer(worker, handoff(agent))
    assert isinstance(asked, HelpAsked)
    assert asked.proposal is None
    shown = asked.background
    assert (shown.agent, shown.doing) == (agent.name, "What is 1 + 2?")
    assert shown.usage.model_calls == 1
