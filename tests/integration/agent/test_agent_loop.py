"""One agent working on handoffs: a real HTTP model server, a real Redis journal, the faults models have."""

import asyncio
import json
from dataclasses import replace

import pytest
from pydantic import JsonValue
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.budget import Budget
from schemas.event import State
from schemas.settlement import Settlement
from schemas.step import DoStep, Findings, HandoffFailed, HelpAsked, StepCompleted
from services.gateway.turns import turn_of
from shared.agent import Agent, Context
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import Worker
from shared.blackboard.journal import ANSWER
from shared.bus.admin import read_topic
from shared.errors import Fenced, RetryableError
from shared.llm import Models, request
from shared.llm.request import complete
from shared.tools import Effect, Risk, tool
from tests.support.agent_loop import (
    FINAL,
    FINDINGS,
    answer,
    called,
    calling,
    calls_of,
    delivered,
    handoff,
    scripted,
    sent,
    underway,
)

pytestmark = pytest.mark.broker


@tool(risk=Risk.LOW, effect=Effect.READ)
async def keep(payload: dict[str, JsonValue]) -> int:
    """Accept anything."""
    called.append((len(payload), 0))
    return len(payload)


def raw(arguments: str, name: str = "add") -> dict:
    """A call whose arguments are written as they are."""
    return {"when": {"turn": 0}, "reply": {"calls": [{"name": name, "raw": arguments}]}}


async def test_a_tool_is_called_its_result_shown_and_everything_counted(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    reply, _ = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)
    assert reply.output.answer == "It is 3."
    assert called == [(1, 2)]
    assert (reply.usage.model_calls, reply.usage.tool_calls) == (2, 1)
    assert reply.usage.prompt_tokens > 0
    assert reply.models == ["waggle-simulated"]


async def test_the_exact_prompt_of_every_turn_can_be_put_together_from_the_journal(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    _, journal = await answer(worker, handoff(agent))
    entries = journal.entries()
    first, second = entries["think-1/turn-1"], entries["think-1/turn-2"]
    system, brief = first["added"]
    assert system["content"].startswith(f"You are the {agent.name} agent of Waggle.\n\nCalculate.")
    assert json.loads(brief["content"])["objective"] == "What is 1 + 2?"
    assert [message["role"] for message in second["added"]] == ["assistant", "tool"]
    assert json.loads(second["added"][1]["content"]) == {"origin": "tool:add", "result": 3}
    assert [each["function"]["name"] for each in first["tools"]][:2] == ["add", "send"]


async def test_the_journal_holds_the_request_as_sent_even_if_a_redelivery_finds_more_files(
    worker, agent, model, monkeypatch
):
    sent_messages: list[list] = []

    async def noted(client, body, seconds):
        sent_messages.append([dict(message) for message in body["messages"]])
        return await complete(client, body, seconds)

    monkeypatch.setattr(request, "complete", noted)
    crash = {"when": {"turn": 1}, "times": 1, "fault": {"delay": 3}}
    await scripted(model, agent, calling(a=1, b=2), crash, FINAL)
    step = handoff(agent)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer(worker, step), 1.5)
    made = {"name": "new.txt", "media_type": "text/plain", "size": 1, "uri": "waggle://sha256/1"}
    await (await worker.runtime.journal(step).open()).write("artefact:new.txt", made)
    _, journal = await answer(worker, step)
    first, second = (turn_of(journal.entries(), "r", "s", "w", 1, number) for number in (1, 2))
    assert sent_messages == [first.messages, second.messages, second.messages]


async def test_an_answer_that_another_model_had_a_part_in_says_so(worker, agent, model, tmp_path):
    file = tmp_path / "models.toml"
    gone, there = "http://127.0.0.1:9/v1", f"{model}/v1"
    file.write_text(
        '[roles]\nstrong = ["main", "spare"]\n[endpoints.main]\nmodel = "large"\n'
        f'base_url = "{gone}"\n[endpoints.spare]\nmodel = "waggle-simulated"\nbase_url = "{there}"\n'
    )
    settings = worker.runtime.settings.model_copy(update={"models": file})
    await scripted(model, agent, FINAL)
    chained = Models(settings, worker.runtime.sentinel.scripts, worker.runtime.metrics)
    other = Worker(replace(worker.runtime, settings=settings, models=chained))
    step = handoff(agent)
    reply, _ = await answer(other, step)
    await chained.close()
    assert reply.models == ["waggle-simulated"]
    assert reply.output.caveats == ["The model spare answered where main could not."]


async def test_a_redelivered_handoff_is_answered_from_the_journal_alone(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    step = handoff(agent)
    first, _ = await answer(worker, step)
    asked = await calls_of(model, agent)
    second, _ = await answer(worker, step)
    assert second == first
    assert await calls_of(model, agent) == asked
    assert len(called) == 1


async def test_after_a_crash_recorded_turns_are_replayed_and_the_tool_is_not_called_again(worker, agent, model):
    crash = {"when": {"turn": 1}, "times": 1, "fault": {"delay": 60}}
    await scripted(model, agent, calling(a=1, b=2), crash, FINAL)
    step = handoff(agent)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer(worker, step), 2)
    reply, _ = await answer(worker, step)
    assert reply.output.answer == "It is 3."
    assert called == [(1, 2)]
    assert (reply.usage.model_calls, reply.usage.tool_calls) == (3, 1)  # the one that was cut off may have cost, too
    assert await calls_of(model, agent) == 3


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        (calling("drop_database"), "unknown_tool"),
        (calling(a="many", b=2), "invalid_arguments"),
        (calling(a=1, b=2, c=3), "invalid_arguments"),
        (raw('{"a": 1, "b'), "invalid_arguments"),
        (raw("[1, 2]"), "invalid_arguments"),
        (raw(r'{"payload": {"a": ["\ud800"]}}', "keep"), "invalid_arguments"),
        (raw(r'{"payload": {"a": {"\udfff": 3}}}', "keep"), "invalid_arguments"),
    ],
)
async def test_a_call_that_cannot_be_made_is_a_structured_error_to_the_model(worker, agent, model, scenario, code):
    agent.tools = [*agent.tools, keep]
    await scripted(model, agent, scenario, FINAL)
    reply, journal = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)
    error = json.loads(journal.entries()["think-1/turn-1/call-1/refused"])["error"]
    assert error["code"] == code
    assert error["suggested_action"]
    assert called == []


async def test_a_truncated_reply_is_asked_for_again_with_a_hint(worker, agent, model):
    broken = {"when": {"turn": 0}, "reply": {"content": '{"answer": "It'}}
    await scripted(model, agent, broken, FINAL)
    reply, journal = await answer(worker, handoff(agent))
    assert reply.output.answer == "It is 3."
    hint = journal.entries()["think-1/turn-2"]["added"][-1]
    assert hint["role"] == "user"
    assert "does not fit the schema" in hint["content"]


@pytest.mark.parametrize("content", ["", "certainly!", "{}", '{"answer": 1}'])
async def test_a_model_that_never_answers_as_demanded_fails_the_step_with_the_reason(worker, agent, model, content):
    await scripted(model, agent, {"reply": {"content": content}})
    reply, _ = await answer(worker, handoff(agent))
    assert isinstance(reply, HandoffFailed)
    assert (reply.error.code, reply.error.retryable) == ("invalid_reply", False)
    assert await calls_of(model, agent) == 3


async def test_a_model_that_only_calls_tools_is_stopped_after_the_last_turn(worker, agent, model):
    new = [calling(a=1, b=turn) | {"when": {"turn": turn}} for turn in range(6)]
    await scripted(model, agent, *new)
    reply, _ = await answer(worker, handoff(agent))
    assert reply.error.code == "too_many_turns"
    assert await calls_of(model, agent) == 6


AGAIN = {"reply": {"calls": [{"name": "add", "arguments": {"a": 1, "b": 1}}]}}


def loops(worker: Worker, agent: Agent, then: str) -> float:
    return worker.runtime.metrics.loops.labels(agent.name, "same_call", then)._value.get()


async def test_a_model_that_repeats_a_call_is_warned_and_then_stopped(worker, agent, model):
    await scripted(model, agent, AGAIN)
    reply, journal = await answer(worker, handoff(agent))
    assert (reply.error.code, reply.error.retryable) == ("loop", False)
    assert "`add` 5 times" in reply.error.message
    assert await calls_of(model, agent) == 5
    hints = [
        turn
        for turn in range(1, 6)
        for message in journal[f"think-1/turn-{turn}"]["added"]
        if message["role"] == "user" and "round in circles" in message["content"]
    ]
    assert hints == [4]
    assert (loops(worker, agent, "told"), loops(worker, agent, "stopped")) == (1, 1)


async def test_a_model_that_heeds_the_hint_continues(worker, agent, model):
    three = [AGAIN | {"when": {"turn": turn}} for turn in range(3)]
    await scripted(model, agent, *three, FINAL)
    reply, _ = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)


@pytest.mark.parametrize("turn", [3, 4])
async def test_a_redelivery_within_a_loop_warns_the_model_at_the_same_turn(worker, agent, model, turn, monkeypatch):
    shown: list[list] = []

    async def noted(client, body, seconds):
        shown.append([dict(message) for message in body["messages"]])
        return await complete(client, body, seconds)

    monkeypatch.setattr(request, "complete", noted)
    await scripted(model, agent, {"when": {"turn": turn}, "times": 1, "fault": {"delay": 3}}, AGAIN)
    step = handoff(agent)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer(worker, step), 2)
    reply, _ = await answer(worker, step)
    assert reply.error.code == "loop"
    assert shown[turn + 1] == shown[turn]
    assert [len(each) for each in shown if "round in circles" in str(each[-1])] == [9] * (5 - turn)
    assert await calls_of(model, agent) == 6


async def test_a_turn_is_reported_with_its_number(worker, agent, model, monkeypatch):
    turns: list[int | None] = []

    async def reported(_handoff, _what: str, turn: int | None = None) -> None:
        turns.append(turn)

    monkeypatch.setattr(AgentRuntime, "report_progress", lambda _self, *what: reported(*what))
    await scripted(model, agent, calling("add", first=2, second=3), FINAL)
    await answer(worker, handoff(agent))
    assert turns == [1, None, 2]


async def test_a_loop_is_shown_to_those_who_follow_the_run(worker, agent, model, monkeypatch):
    doing: list[str] = []

    async def told(_handoff, what: str, _turn: int | None = None) -> None:
        doing.append(what)

    monkeypatch.setattr(AgentRuntime, "report_progress", lambda _self, *what: told(*what))
    await scripted(model, agent, AGAIN)
    await answer(worker, handoff(agent))
    assert [each for each in doing if each.startswith("loop: ")] == [
        "loop: `add` 3 times, the same each time",
        "loop: `add` 5 times, the same each time",
    ]


async def test_an_unfit_answer_that_is_given_again_is_said_to_be_the_same(worker, agent, model):
    await scripted(model, agent, {"reply": {"content": "certainly!"}})
    _, journal = await answer(worker, handoff(agent))
    second, third = (journal[f"think-1/turn-{turn}"]["added"][-1]["content"] for turn in (2, 3))
    assert "same answer as before" not in second
    assert "same answer as before" in third


async def test_a_rate_limited_model_is_asked_again_after_the_time_it_names(worker, agent, model):
    limited = {"times": 1, "fault": {"status": 429, "retry_after": 0.2}}
    await scripted(model, agent, limited, FINAL)
    reply, _ = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)


async def test_an_unavailable_model_makes_the_step_retryable(worker, agent, model):
    await scripted(model, agent, {"fault": {"status": 500}})
    reply, _ = await answer(worker, handoff(agent))
    assert (reply.error.code, reply.error.retryable) == ("model_unavailable", True)


async def test_a_model_that_does_not_exist_is_a_final_error(worker, agent, model):
    settings = worker.runtime.settings.model_copy(update={"model_strong": "no-such-model"})
    models = Models(settings, worker.runtime.sentinel.scripts, worker.runtime.metrics)
    stranger = Worker(replace(worker.runtime, settings=settings, models=models))
    reply, _ = await answer(stranger, handoff(agent))
    await models.close()
    assert (reply.error.code, reply.error.retryable) == ("model_refused", False)


async def test_a_call_that_was_refused_is_not_made_by_a_later_try_that_has_room_for_it(worker, agent, model):
    both = [{"name": "send", "arguments": {"text": text}} for text in ("one", "two")]
    turns = {"when": {"turn": 0}, "reply": {"calls": both}}
    await scripted(model, agent, turns, {"when": {"turn": 1}, "fault": {"status": 500}, "times": 3}, FINAL)
    first = handoff(agent, budget_left=Budget(tool_calls=1), budget=Budget())
    failed, _ = await answer(worker, first)
    assert isinstance(failed, HandoffFailed)
    again = first.model_copy(update={"id": first.id[:-1] + "2", "budget_left": Budget()})
    reply, _ = await answer(worker, again)
    assert isinstance(reply, StepCompleted)
    assert sent == ["one"]


async def test_no_model_call_is_made_beyond_the_budget(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    reply, _ = await answer(worker, handoff(agent, budget_left=Budget(model_calls=1)))
    assert reply.error.code == "budget_exhausted"
    assert await calls_of(model, agent) == 1


async def test_a_tool_call_beyond_the_budget_is_refused_and_the_model_answers_with_what_it_has(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    reply, _ = await answer(worker, handoff(agent, budget_left=Budget(tool_calls=0)))
    assert isinstance(reply, StepCompleted)
    assert called == []


async def test_a_dry_run_calls_reading_tools_and_only_names_the_others(worker, agent, model):
    both = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "send", "arguments": {"text": "hi"}}]
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": both}}, FINAL)
    _, journal = await answer(worker, handoff(agent, dry_run=True))
    assert called == [(1, 2)]
    assert sent == []
    assert json.loads(journal.entries()["think-1/turn-1/call-2"])["would_call"] == "send"


async def test_a_step_is_offered_only_the_tools_its_plan_names(worker, agent, model):
    await scripted(model, agent, calling("send", text="hi"), FINAL)
    _, journal = await answer(worker, handoff(agent, tools=["add"]))
    assert json.loads(journal.entries()["think-1/turn-1/call-1/refused"])["error"]["code"] == "unknown_tool"
    assert sent == []


async def test_a_step_that_takes_too_long_fails_with_a_timeout(worker, agent, model):
    await scripted(model, agent, {"fault": {"delay": 30}})
    reply, _ = await answer(worker, handoff(agent, timeout=0.3))
    assert reply.error.code == "timeout"


async def test_a_timeout_of_the_handlers_own_is_not_taken_for_the_end_of_the_steps_time(worker, agent):
    agent.handler = None

    @agent.handles
    async def work(step: DoStep, ctx: Context) -> Findings:
        raise TimeoutError("the archive of the handler's own")

    reply, _ = await answer(worker, handoff(agent))
    assert (reply.error.code, reply.error.retryable) == ("gave_up_waiting", True)
    assert "the archive of the handler's own" in reply.error.message


async def interrupted(worker, agent, model, step):
    """A call with a recorded intent and an unknown outcome."""
    journal = await worker.runtime.journal(step).open()
    entry = {"tool": "send", "arguments": "{}", "epoch": journal.epoch, "permitted_by": None}
    await scripted(model, agent, calling("send", text="hello"), FINAL)
    await journal.write("think-1/turn-1/call-1/intent", entry)


async def test_a_call_that_may_have_happened_is_never_made_again_but_asked_about(worker, agent, model):
    step = handoff(agent)
    await interrupted(worker, agent, model, step)
    reply, _ = await answer(worker, step)
    assert isinstance(reply, HelpAsked)
    assert reply.call == "think-1/turn-1/call-1"
    assert sent == []


async def test_a_call_that_broke_after_it_began_is_asked_about_and_never_offered_again(worker, agent, model):
    await scripted(model, agent, calling("send_and_break", text="hello"), FINAL)
    step = handoff(agent)
    for number in (1, 2):
        reply, journal = await answer(worker, step.model_copy(update={"id": f"{step.id[:-1]}{number}"}))
        assert isinstance(reply, HelpAsked)
        assert reply.call == "think-1/turn-1/call-1"
        assert "ConnectionResetError" in reply.question or number == 2
        assert "think-1/turn-1/call-1" not in journal
    assert sent == ["hello"]


async def test_a_result_that_is_too_large_is_cut_when_the_call_has_done_something(worker, agent, model):
    await scripted(model, agent, calling("send_and_tell_all", text="hello"), FINAL)
    reply, journal = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)
    told = json.loads(journal["think-1/turn-1/call-1"])["result"]
    assert (told["cut"], told["characters"], told["beginning"][:4]) == (True, 70_002, '"xxx')
    assert len(journal["think-1/turn-1/call-1"]) < 60_000
    assert sent == ["hello"]


@pytest.mark.parametrize(("said", "times"), [("repeat: it never arrived", 1), ("it has happened", 0)])
async def test_a_persons_answer_settles_an_unknown_outcome(worker, agent, model, said, times):
    step = handoff(agent)
    await interrupted(worker, agent, model, step)
    settled = {"think-1/turn-1/call-1": Settlement(request_id="help/1", answer=said)}
    again = step.model_copy(update={"id": step.id[:-1] + "2", "settled": settled})
    reply, journal = await answer(worker, again)
    assert isinstance(reply, StepCompleted)
    assert len(sent) == times
    assert ("settled_by_a_person" in journal["think-1/turn-1/call-1"]) is (times == 0)


@pytest.mark.parametrize("recorded", [{}, {"think-1/turn-1/call-1": '"sent"'}])
async def test_a_persons_answer_is_the_outcome_even_if_the_journal_disagrees_or_is_lost(worker, agent, model, recorded):
    await scripted(model, agent, calling("send", text="hello"), FINAL)
    settled = {"think-1/turn-1/call-1": Settlement(request_id="help/1", answer="it has happened")}
    step = handoff(agent, settled=settled)
    journal = await worker.runtime.journal(step).open()
    for name, entry in recorded.items():
        await journal.write(name, entry)
    verdicts = []
    for _ in range(2):
        reply, journal = await answer(worker, step)
        assert isinstance(reply, StepCompleted)
        assert reply.usage.tool_calls == 1
        verdicts.append([each.call for each in reply.judged])
        await journal.write(ANSWER + step.id, None)  # as if the worker had ended before it answered
        assert json.loads(journal["think-1/turn-1/call-1"]) == {"settled_by_a_person": "it has happened"}
    assert (verdicts[0], sent) == (verdicts[1], [])


async def test_a_permission_to_repeat_a_call_is_used_up_by_one_call(worker, agent, model):
    step = handoff(agent)
    await interrupted(worker, agent, model, step)
    settled = {"think-1/turn-1/call-1": Settlement(request_id="help/1", answer="repeat")}
    again = step.model_copy(update={"id": step.id[:-1] + "2", "settled": settled})
    journal = await worker.runtime.journal(again).open()
    entry = {"tool": "send", "arguments": "{}", "epoch": journal.epoch, "permitted_by": "help/1"}
    await journal.write("think-1/turn-1/call-1/intent", entry)
    reply, _ = await answer(worker, again)
    assert isinstance(reply, HelpAsked)
    assert sent == []


async def test_a_blackboard_that_goes_away_before_a_call_leaves_no_intent_behind(worker, agent, model, monkeypatch):
    step = handoff(agent)
    await scripted(model, agent, calling("send", text="hello"), FINAL)

    async def away(_handoff, doing: str, _turn: int | None = None) -> None:
        if doing.startswith("send"):
            raise RedisConnectionError("gone")

    with monkeypatch.context() as while_away:
        while_away.setattr(AgentRuntime, "report_progress", lambda _self, *told: away(*told))
        with pytest.raises(RedisConnectionError):
            await answer(worker, step)
    reply, _ = await answer(worker, step)
    assert isinstance(reply, StepCompleted)
    assert sent == ["hello"]


async def told_by_calling(worker: Worker, agent: Agent) -> None:
    """Let the agent's handler call its tool itself, with no model in between."""

    async def work(step: DoStep, ctx: Context) -> Findings:
        await ctx.call("send", text="hello")
        return Findings(**FINDINGS)

    agent.handler = work


async def test_a_step_of_a_run_that_has_ended_is_not_worked_on(worker, agent):
    step = handoff(agent)
    await told_by_calling(worker, agent)
    await underway(worker, step, State.CANCELLED)
    await worker.handle(delivered(step))
    assert sent == []


async def test_a_step_of_a_run_that_is_not_known_waits_until_it_is(worker, agent):
    step = handoff(agent)
    await told_by_calling(worker, agent)
    with pytest.raises(RetryableError) as failure:
        await worker.handle(delivered(step))
    assert (failure.value.code, sent) == ("unknown_run", [])
    await underway(worker, step)
    await worker.handle(delivered(step))
    assert sent == ["hello"]


async def test_a_fenced_worker_says_so_and_sends_no_answer(worker, agent, settings):
    step = handoff(agent)

    async def work(step: DoStep, ctx: Context) -> Findings:
        await worker.runtime.journal(step).open()  # another one claims the work
        await ctx.call("send", text="hello")
        return Findings(**FINDINGS)

    agent.handler = work
    await underway(worker, step)
    with pytest.raises(Fenced):
        await worker.handle(delivered(step))
    assert sent == []
    assert [each async for part in read_topic(settings, "runs") for each in part] == []
