"""A journal that another version of an agent has written: an entry answers the call it was made for, and no other."""

import json

import pytest

from schemas.step import DoStep, Findings, HandoffFailed, HelpAsked, StepCompleted
from shared.agent import Context
from shared.bus.admin import read_topic
from shared.errors import RetryableError
from shared.tools import Effect, Risk, tool
from tests.support.agent_loop import (
    FINAL,
    FINDINGS,
    add,
    agent,
    answer,
    called,
    calling,
    calls_of,
    handoff,
    scripted,
    send,
    sent,
    worker,
)

__all__ = ["agent", "worker"]

noted: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=("slot",))
async def note(slot: str) -> str:
    """Note something outside."""
    noted.append(slot)
    return "noted"


def version(agent, *calls: tuple[str, dict], killed: bool = False) -> None:
    """A release whose handler makes these calls; `killed`: it is interrupted after them."""

    async def work(step: DoStep, ctx: Context) -> Findings:
        said = [await ctx.call(name, **arguments) for name, arguments in calls]
        if killed:
            raise RetryableError("killed here")
        return Findings(**FINDINGS | {"answer": json.dumps(said)})

    agent.handler = work


def again(step: DoStep) -> DoStep:
    return step.model_copy(update={"id": f"{step.id[:-1]}2"})


ADD, SEND = ("add", {"a": 1, "b": 2}), ("send", {"text": "hello"})


async def test_a_recorded_result_is_not_given_to_another_call_and_reads_are_done_again(worker, agent):
    step = handoff(agent)
    version(agent, ADD, killed=True)
    assert isinstance((await answer(worker, step))[0], HandoffFailed)
    version(agent, SEND)
    reply, journal = await answer(worker, again(step))
    assert isinstance(reply, StepCompleted)
    assert (json.loads(reply.output.answer), sent) == (["sent"], ["hello"])
    assert journal.about("call-1")["name"] == "send"


async def test_other_arguments_are_another_call(worker, agent):
    step = handoff(agent)
    version(agent, ADD, killed=True)
    await answer(worker, step)
    version(agent, ("add", {"a": 5, "b": 5}))
    reply, _ = await answer(worker, again(step))
    assert json.loads(reply.output.answer) == [10]


@pytest.mark.parametrize("first", [SEND, ("note", {"slot": "a"})])
async def test_an_external_change_in_doubt_is_put_to_a_person_and_not_repeated(worker, agent, first):
    noted.clear()
    agent.tools = [add, send, note]
    step = handoff(agent)
    version(agent, first, killed=True)
    await answer(worker, step)
    version(agent, ("send", {"text": "hi"}), first)
    reply, _ = await answer(worker, again(step))
    assert isinstance(reply, HelpAsked)
    assert (first[0] in reply.question, "hi" in reply.question, reply.call) == (True, True, None)
    assert [each.split(":")[0] for each in reply.options] == ["approve", "reject"]
    assert [(each.tool, each.outcome) for each in reply.effected] == [(first[0], "made")]
    assert sent + noted == list(first[1].values())


async def test_approved_the_step_begins_again_as_other_work_and_what_was_made_is_not_made_again(worker, agent):
    step = handoff(agent)
    version(agent, SEND, killed=True)
    await answer(worker, step)
    version(agent, ADD, SEND)
    asked, _ = await answer(worker, again(step))
    work_id = f"{step.work_id[:-1]}1"
    fresh = {"id": f"{work_id}.1", "work_id": work_id, "effected": asked.effected}
    reply, _ = await answer(worker, step.model_copy(update=fresh))
    assert (json.loads(reply.output.answer), sent) == ([3, "sent"], ["hello"])


async def test_a_model_reply_is_not_given_to_another_question(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    step = handoff(agent)

    async def first(step: DoStep, ctx: Context) -> Findings:
        await ctx.think("count them", result=Findings)
        raise RetryableError("killed here")

    async def second(step: DoStep, ctx: Context) -> Findings:
        return await ctx.think("name them", result=Findings)

    agent.handler = first
    await answer(worker, step)
    before, made = await calls_of(model, agent), len(called)
    agent.handler = second
    reply, journal = await answer(worker, again(step))
    assert isinstance(reply, StepCompleted)
    assert (await calls_of(model, agent), len(called)) == (2 * before, 2 * made)
    lost = [entry["lost"] for name, entry in journal.entries().items() if "/turn-1/lost-" in name]
    assert lost[0][3] == 1  # what the dropped turn has cost stays spent
    assert '"name them"' in journal["think-1/turn-1"]["added"][1]["content"]


async def test_entries_without_an_identity_are_taken_as_they_are(worker, agent):
    step = handoff(agent)
    journal = await worker.runtime.journal(step).open()
    await journal.write("call-1", '{"origin": "tool:add", "result": 3}')
    version(agent, SEND)
    reply, _ = await answer(worker, step)
    assert (json.loads(reply.output.answer), sent) == ([3], [])


async def test_an_intent_of_a_version_that_wrote_no_identity_says_itself_what_it_was(worker, agent):
    step = handoff(agent)
    journal = await worker.runtime.journal(step).open()
    await journal.write(
        "call-1/intent", {"tool": "send", "arguments": '{"text": "x"}', "epoch": 1, "permitted_by": None}
    )
    version(agent, ("send", {"text": "hello"}))
    reply, _ = await answer(worker, step)
    assert isinstance(reply, HelpAsked)
    assert "works in another way" in reply.question
    assert sent == []


async def test_the_log_keeps_what_an_entry_is_an_answer_to(worker, agent, settings):
    step = handoff(agent)
    version(agent, SEND)
    _, journal = await answer(worker, step)
    assert journal.about("call-1")["acting"]["tool"] == "send"
    logged = [record.value async for records in read_topic(settings, "journal") for record in records]
    kept = {(one := json.loads(value))["name"]: one.get("of") for value in logged}
    assert kept["call-1"] == journal.about("call-1")
