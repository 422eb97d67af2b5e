"""Calls approved on condition that what was read before them is unchanged: real journal, model over HTTP."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from schemas.step import HelpAsked, StepCompleted
from shared.agent.tools import rereading
from shared.tools import ToolError, tool
from tests.support.agent_loop import FINAL, agent, answer, handoff, scripted, worker

__all__ = ["agent", "worker"]

stock = {"pens": 5}
looked: list[str] = []
ordered: list[tuple[str, int]] = []
slow: list[float] = []


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def look(item: str) -> dict[str, int | str]:
    """Look up the stock of an item."""
    looked.append(item)
    await asyncio.sleep(sum(slow))
    if item not in stock:
        raise ToolError("no_item", f"there is no {item}")
    return {"item": item, "left": stock[item]}


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, destinations=("item",))
async def order(item: str, number: int) -> str:
    """Order an item."""
    ordered.append((item, number))
    return "ordered"


@pytest.fixture
def ordering(agent):
    looked.clear()
    ordered.clear()
    slow.clear()
    stock.clear()
    stock["pens"] = 5
    agent.tools = [look, order]
    return agent


def turn(number: int, *calls: tuple[str, dict]) -> dict:
    called = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"when": {"turn": number}, "reply": {"calls": called}}


async def asked_to_order(worker, agent, model, *reads: str):
    """A step that has read the stock and asks to order; and the question."""
    first = turn(0, *(("look", {"item": item}) for item in reads or ["pens"]))
    await scripted(model, agent, first, turn(1, ("order", {"item": "pens", "number": 100})), FINAL)
    step = handoff(agent)
    asked, _ = await answer(worker, step)
    assert isinstance(asked, HelpAsked)
    looked.clear()
    return step, asked.proposal


def on_condition(step, proposal, number: int = 2, **changes):
    """The next try, with a permission on condition that the reads are unchanged."""
    until = datetime.now(UTC) + timedelta(seconds=60)
    said = {"request_id": f"help/{number}", "answer": "", "asked": "permission", "until": until, "reverify": True}
    settled = {proposal.call: Settlement(**(said | {"digest": proposal.digest} | changes))}
    return step.model_copy(update={"id": f"{step.id[:-1]}{number}", "settled": settled})


async def test_the_call_is_made_when_nothing_it_rests_on_has_changed(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    reply, _ = await answer(worker, on_condition(step, proposal))
    assert isinstance(reply, StepCompleted)
    assert (looked, ordered) == (["pens"], [("pens", 100)])
    assert reply.usage.tool_calls == 2  # the repeated read is charged like any other
    again, _ = await answer(worker, on_condition(step, proposal, 3))
    assert isinstance(again, StepCompleted)
    assert (looked, ordered) == (["pens"], [("pens", 100)])


async def test_the_call_is_asked_about_again_when_a_read_has_changed_and_people_see_how(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    stock["pens"] = 90
    asked, _ = await answer(worker, on_condition(step, proposal))
    assert isinstance(asked, HelpAsked)
    assert ordered == []
    shown = asked.proposal
    assert shown.changes == ['look {"item": "pens"}: left: 5 → 90']
    assert (shown.digest, shown.rule) == (proposal.digest, "approval")
    approved = on_condition(step, shown, 3, reverify=False)
    reply, _ = await answer(worker, approved)
    assert isinstance(reply, StepCompleted)
    assert ordered == [("pens", 100)]


async def test_a_change_without_a_decision_is_asked_about_each_time(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    stock["pens"] = 90
    for number in (2, 3):
        asked, _ = await answer(worker, on_condition(step, proposal, number))
        assert isinstance(asked, HelpAsked)
        assert asked.proposal.changes
    assert looked == ["pens", "pens"]
    assert ordered == []


async def test_a_redelivery_repeats_no_read_that_was_repeated(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    stock["pens"] = 90
    again = on_condition(step, proposal)
    first, journal = await answer(worker, again)
    await journal.write(f"answer/{again.id}", None)  # as if the process had died before it answered
    second, _ = await answer(worker, again)
    assert second.proposal.changes == first.proposal.changes
    assert second.usage.tool_calls == first.usage.tool_calls == 1
    assert looked == ["pens"]


async def test_a_read_that_fails_counts_as_changed(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    stock.clear()
    asked, _ = await answer(worker, on_condition(step, proposal))
    assert asked.proposal.changes == ['look {"item": "pens"}: it could not be read again: there is no pens']
    assert ordered == []


async def test_a_read_that_the_gate_no_longer_allows_counts_as_changed(worker, ordering, model, tmp_path):
    step, proposal = await asked_to_order(worker, ordering, model)
    gate = tmp_path / "gate.toml"
    gate.write_text('[risk]\nlow = "deny"\n')
    strict = worker.runtime.settings.model_copy(update={"gate": gate})
    object.__setattr__(worker.runtime, "settings", strict)  # an operator has changed the policy meanwhile
    asked, _ = await answer(worker, on_condition(step, proposal))
    assert "could not be read again" in asked.proposal.changes[0]
    assert (looked, ordered) == ([], [])


async def test_equal_reads_are_repeated_once_and_failed_ones_not_at_all(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model, "pens", "pens", "unicorns")
    reply, _ = await answer(worker, on_condition(step, proposal))
    assert isinstance(reply, StepCompleted)
    assert looked == ["pens"]
    assert ordered == [("pens", 100)]


async def test_too_many_or_too_slow_reads_count_as_changed(worker, ordering, model, monkeypatch):
    stock["ink"] = 1
    step, proposal = await asked_to_order(worker, ordering, model, "pens", "ink")
    monkeypatch.setattr(rereading, "MOST_READS", 1)
    asked, _ = await answer(worker, on_condition(step, proposal))
    assert asked.proposal.changes == ["1 of 2 reads were not repeated: there are too many"]
    monkeypatch.setattr(rereading, "MOST_READS", 30)
    monkeypatch.setattr(rereading, "WITHIN", 0.1)
    slow.append(0.5)
    asked, _ = await answer(worker, on_condition(step, proposal, 3))
    assert "could not be repeated within" in asked.proposal.changes[0]
    assert ordered == []


async def test_a_permission_for_another_call_repeats_nothing(worker, ordering, model):
    step, proposal = await asked_to_order(worker, ordering, model)
    asked, _ = await answer(worker, on_condition(step, proposal, digest="0" * 64))
    assert isinstance(asked, HelpAsked)
    assert (looked, ordered, asked.proposal.changes) == ([], [], [])
    assert json.loads(asked.proposal.arguments) == {"item": "pens", "number": 100}
