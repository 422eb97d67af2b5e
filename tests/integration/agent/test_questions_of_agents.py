"""Questions that a model or a handler asks a person, with the model over HTTP and the journal in Redis."""

import json

import pytest

from schemas.question import Kind
from schemas.settlement import Settlement
from schemas.step import DoStep, Findings, HelpAsked, StepCompleted
from shared.agent import Context
from shared.agent.tools.asking import MOST_QUESTIONS, NAME
from shared.blackboard.journal import ASKED, REFUSED
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
    worker,
)

__all__ = ["agent", "worker"]

QUESTION = {"question": "Which year?", "options": ["2025", "2026"]}

BOARD = ["post_to_board", "read_board", "claim_resource"]


@pytest.fixture
def asking(agent):
    called.clear()
    agent.tools = [add]
    return agent


def next_try(step, number: int = 2, **changes):
    return step.model_copy(update={"id": f"{step.id[:-1]}{number}"} | changes)


def answered(asked: HelpAsked, text: str, **changes) -> dict[str, Settlement]:
    return {asked.call: Settlement(**({"request_id": "help/1", "answer": text} | changes))}


def told(journal, turn: int = 2) -> list[dict]:
    """The answers to the calls of the turn before, as the model was sent them."""
    added = journal[f"think-1/turn-{turn}"]["added"]
    return [json.loads(each["content"]) for each in added if each["role"] == "tool"]


async def asked_by_model(worker, agent, model, *turns):
    await scripted(model, agent, *(turns or (calling(NAME, **QUESTION), FINAL)))
    step = handoff(agent)
    asked, journal = await answer(worker, step)
    assert isinstance(asked, HelpAsked)
    return step, asked, journal


async def test_a_models_question_ends_the_handoff_and_shows_its_circumstances(worker, asking, model):
    _, asked, _ = await asked_by_model(worker, asking, model)
    assert (asked.kind, asked.question, asked.options) == (Kind.QUESTION, "Which year?", ["2025", "2026"])
    assert asked.proposal is None
    assert asked.call.startswith("think-1/turn-1/call-1/")
    assert (asked.background.agent, asked.background.doing) == (asking.name, "What is 1 + 2?")
    assert asked.background.usage.model_calls == 1
    judged = next(each for each in asked.judged if each.action == "tool_call")
    assert (judged.name, judged.verdict, judged.rule) == (NAME, "ask", "question")


async def test_the_step_resumes_at_the_question_with_the_persons_answer(worker, asking, model):
    step, asked, _ = await asked_by_model(worker, asking, model)
    reply, journal = await answer(worker, next_try(step, settled=answered(asked, "2026, as always")))
    assert isinstance(reply, StepCompleted)
    assert told(journal) == [{"answer_of_a_person": "2026, as always"}]
    assert await calls_of(model, asking) == 2  # the turn before the question was not taken again
    assert reply.usage.tool_calls == 0
    again, journal = await answer(worker, next_try(step, 3))  # the journal has the answer, whatever is settled
    assert isinstance(again, StepCompleted)
    assert await calls_of(model, asking) == 2


async def test_a_skipped_question_is_answered_with_a_note(worker, asking, model):
    step, asked, _ = await asked_by_model(worker, asking, model)
    reply, journal = await answer(worker, next_try(step, settled=answered(asked, "", refused="skip")))
    assert isinstance(reply, StepCompleted)
    assert told(journal)[0]["answer_of_a_person"] is None
    assert "skipped" in told(journal)[0]["note"]


async def test_a_question_is_asked_after_the_other_calls_of_its_turn(worker, asking, model):
    both = [{"name": NAME, "arguments": QUESTION}, {"name": "add", "arguments": {"a": 1, "b": 2}}]
    turn = {"when": {"turn": 0}, "reply": {"calls": both}}
    step, asked, journal = await asked_by_model(worker, asking, model, turn, FINAL)
    assert called == [(1, 2)]
    assert "think-1/turn-1/call-2" in journal
    assert asked.background.tried == ['add {"a": 1, "b": 2}: answered']
    reply, journal = await answer(worker, next_try(step, settled=answered(asked, "2026")))
    assert isinstance(reply, StepCompleted)
    assert called == [(1, 2)]
    assert told(journal)[0] == {"answer_of_a_person": "2026"}
    assert told(journal)[1]["result"] == 3


async def test_an_answer_is_never_given_to_another_question_at_the_same_place(worker, asking, model):
    step, asked, _ = await asked_by_model(worker, asking, model)
    elsewhere = f"{asked.call.rsplit('/', 2)[0]}/00000000{ASKED}"
    said = {elsewhere: Settlement(request_id="help/1", answer="1999")}
    again, _ = await answer(worker, next_try(step, settled=said))
    assert isinstance(again, HelpAsked)
    assert again.call == asked.call


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"question": ""},
        {"question": "x" * 2_001},
        {"question": "?", "options": ["y"] * 11},
        {"question": "?", "to": 1},
    ],
)
async def test_an_invalid_question_is_an_error_for_the_model(worker, asking, model, arguments):
    await scripted(model, asking, calling(NAME, **arguments), FINAL)
    reply, journal = await answer(worker, handoff(asking))
    assert isinstance(reply, StepCompleted)
    assert told(journal)[0]["error"]["code"] == "invalid_arguments"


async def test_a_step_that_has_asked_enough_must_decide_by_itself(worker, asking, model):
    await scripted(model, asking, calling(NAME, **QUESTION), FINAL)
    many = [f"think-1/turn-9/call-{each}/00000000{ASKED}" for each in range(MOST_QUESTIONS)]
    said = {each: Settlement(request_id="help/1", answer="x") for each in many}
    reply, journal = await answer(worker, handoff(asking, settled=said))
    assert isinstance(reply, StepCompleted)
    assert told(journal)[0]["error"]["code"] == "too_many_questions"
    assert "think-1/turn-1/call-1" + REFUSED in journal


async def test_the_answer_to_a_question_permits_no_call(worker, agent, model):
    """A model chooses its question, and so the words of the answer: they are not a person's own request."""
    later = calling("send", text="secret") | {"when": {"turn": 1}}
    options = {"question": "What next?", "options": ["Send secret"]}
    step, asked, _ = await asked_by_model(worker, agent, model, calling(NAME, **options), later, FINAL)
    reply, _ = await answer(worker, next_try(step, settled=answered(asked, "Send secret")))
    assert isinstance(reply, HelpAsked)
    assert reply.proposal.tool == "send"


async def test_secrets_in_a_question_are_redacted(worker, asking, model):
    key = "AKIA" + "Q3EGRKT5BV7WXYZ2"
    _, asked, _ = await asked_by_model(worker, asking, model, calling(NAME, question=f"Is {key} right?"), FINAL)
    assert key not in asked.model_dump_json()


async def test_an_agent_that_may_not_ask_is_not_offered_to(worker, asking, model):
    asking.asks = False
    await scripted(model, asking, FINAL)
    _, journal = await answer(worker, handoff(asking))
    assert [each["function"]["name"] for each in journal["think-1/turn-1"]["tools"]] == ["add", *BOARD]


async def test_the_tools_that_a_plan_gives_a_step_leave_the_question_to_it(worker, asking, model):
    await scripted(model, asking, FINAL)
    _, journal = await answer(worker, handoff(asking, tools=["add"]))
    assert [each["function"]["name"] for each in journal["think-1/turn-1"]["tools"]] == ["add", NAME, *BOARD]


async def test_a_handler_asks_and_resumes_where_it_asked(worker, asking, model):
    steps: list[str] = []

    @asking.handles
    async def work(step: DoStep, ctx: Context) -> Findings:
        first = await ctx.call("add", a=1, b=1)
        steps.append(f"added {first}")
        year = await ctx.ask("Which year?", ["2025", "2026"])
        place = await ctx.ask("Where?")
        return Findings(**(FINDINGS | {"answer": f"{year} in {place}"}))

    step = handoff(asking)
    asked, _ = await answer(worker, step)
    assert (asked.kind, asked.question, asked.options) == (Kind.QUESTION, "Which year?", ["2025", "2026"])
    settled = answered(asked, "2026")
    second, _ = await answer(worker, next_try(step, 2, settled=settled))
    assert second.question == "Where?"
    settled |= answered(second, "", refused="skip")
    reply, _ = await answer(worker, next_try(step, 3, settled=settled))
    assert reply.output.answer == "2026 in None"
    assert called == [(1, 1)]
