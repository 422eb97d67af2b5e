"""The exact prompt of a turn: what an agent's journal keeps, over the real gateway, and on the command line."""

import asyncio
import json
from unittest.mock import AsyncMock

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.blackboard import Journal, RunStore
from tests.support.gateway_fixtures import begin, error_of

SYSTEM = {"role": "system", "content": "You are the data agent."}
BRIEF = {"role": "user", "content": '{"objective": "count"}'}
CALL = {"id": "c1", "type": "function", "function": {"name": "query", "arguments": '{"sql": "select 1"}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
FOUND = {"role": "tool", "tool_call_id": "c1", "content": "[[1]] \x1b[31mred"}
TOOLS = [{"type": "function", "function": {"name": "query", "description": "Ask.", "parameters": {}}}]
USAGE = {"prompt_tokens": 40, "completion_tokens": 2, "cost_usd": 0.5, "model_calls": 1, "estimated": 1}
REPLY = {"content": "one", "tool_requests": [], "finish_reason": "stop", "model": "m-2", "seconds": 1, "usage": USAGE}


@pytest.fixture
async def run(sentinel):
    """A run of the tenant `acme` whose step has had two turns, the second in its third attempt."""
    run = await begin(RunStore(sentinel, ttl=60), "run-a", tenant="acme")
    journal = await Journal(sentinel, "acme", "run-a/data/0.0", 60, AsyncMock()).open()
    first = {"added": [SYSTEM, BRIEF], "reply": REPLY | {"content": None}, "try": 1, "tools": TOOLS}
    await journal.write("think-1/turn-1", first | {"result": "Findings"})
    await journal.write("think-1/turn-1/call-1", FOUND["content"])
    await journal.write("think-1/turn-2", {"added": [CALLED, FOUND], "reply": REPLY, "try": 3})
    return run


async def turn(gateway, number: int, step: str = "data", **query):
    return await gateway.get(f"/v1/runs/run-a/steps/{step}/turns/{number}", params={"tenant": "acme"} | query)


async def test_a_turn_is_shown_with_every_message_from_the_first_on(gateway, run):
    first, second = (await turn(gateway, 1)).json(), (await turn(gateway, 2)).json()
    assert first["messages"] == [SYSTEM, BRIEF]
    assert second["messages"] == [SYSTEM, BRIEF, CALLED, FOUND]
    assert (second["tools"], second["result"], second["reply"]) == (TOOLS, "Findings", REPLY)
    assert [each["handoff_id"] for each in (first, second)] == ["run-a/data/0.0.1", "run-a/data/0.0.3"]


@pytest.fixture
async def packed_run(sentinel):
    """A run whose third turn was sent with a summary in place of the first, with short instructions."""
    run = await begin(RunStore(sentinel, ttl=60), "run-a", tenant="acme")
    journal = await Journal(sentinel, "acme", "run-a/data/0.0", 60, AsyncMock()).open()
    size = {"tokens": 900, "counted": 800, "estimated": True, "limit": 1_000, "window": 2_000}
    summary = {"covers": [2, 2], "by": "m-1", "level": 1, "message": SUMMARY}
    whole = {"reply": REPLY, "try": 1}
    packed = size | {"first": 3, "summaries": ["think-1/turn-3/summary-1"]}
    short = {"forms": {"1/0": 3}}
    await journal.write("think-1/turn-1", whole | {"added": [SYSTEM, BRIEF], "tools": TOOLS, "sent": size})
    await journal.write("think-1/turn-2", whole | {"added": [CALLED, FOUND], "sent": size})
    await journal.write("think-1/turn-3/summary-1", summary)
    await journal.write("think-1/turn-3", whole | {"added": [LATER], "sent": packed | short | {"made": {"1/0": SHORT}}})
    await journal.write("think-1/turn-4", whole | {"added": [LATER, LATER], "sent": packed | short})
    return run


SUMMARY = {"role": "user", "content": '{"origin": "summary:turns 1", "facts": ["one"]}'}
LATER = {"role": "assistant", "content": "two"}
SHORT = {"role": "system", "content": "Data."}


@pytest.mark.parametrize("last", [{}, {"last": 5}])
async def test_a_packed_turn_is_shown_as_it_was_sent_and_as_it_was_said(gateway, packed_run, last):
    sent, said = (await turn(gateway, 3, **last)).json(), (await turn(gateway, 3, said=True, **last)).json()
    assert sent["messages"] == [SHORT, BRIEF, SUMMARY, LATER]
    assert said["messages"] == [SYSTEM, BRIEF, CALLED, FOUND, LATER]
    assert sent["packed"] == said["packed"] == ["turns 1 as a summary by m-1", "instructions condensed"]
    assert (sent["said"], said["said"]) == (False, True)
    assert sent["size"] == {"tokens": 900, "estimated": True, "limit": 1_000, "window": 2_000}
    assert sent["omitted"] == said["omitted"] == 0
    assert (await turn(gateway, 4)).json()["messages"] == [SHORT, BRIEF, SUMMARY, LATER, LATER, LATER]
    first = (await turn(gateway, 4, last=2)).json()
    assert (first["messages"], first["omitted"]) == ([LATER, LATER], 4)


async def test_the_command_line_says_how_a_prompt_was_packed(gateway, packed_run):
    found = await shown(gateway, "data", "3")
    assert "turns 1 as a summary by m-1" in found.stdout
    assert "about 900 tokens of 1000 in a context of 2000 (estimated" in found.stdout
    said = await shown(gateway, "data", "3", "--said")
    assert "the conversation as it was said" in said.stdout
    assert "You are the data agent." in said.stdout


async def test_no_other_caller_is_shown_it(gateway, run):
    error_of(await turn(gateway, 1, tenant="shop"), 404)
    error_of(await gateway.get("/v1/runs/run-a/steps/data/turns/1"), 404)


@pytest.mark.parametrize(
    ("number", "step", "query", "code"),
    [
        (3, "data", {}, "unknown_turn"),
        (1, "data", {"thought": 2}, "unknown_turn"),
        (1, "research", {}, "unknown_step"),
        (1, "data", {"handoff_id": "run-b/data/0.0.1"}, "unknown_handoff"),
    ],
)
async def test_a_missing_turn_is_reported_with_the_existing_ones(gateway, run, number, step, query, code):
    assert error_of(await turn(gateway, number, step, **query), 404)["code"] == code


async def test_a_number_that_is_none_is_refused(gateway, run):
    error_of(await turn(gateway, 0), 422)


async def shown(gateway, *arguments: str):
    command = ["prompt", "run-a", *arguments, "--tenant", "acme", "--gateway", str(gateway.base_url)]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


async def test_the_command_line_shows_messages_tools_and_reply_without_control_characters(gateway, run):
    found = await shown(gateway, "data", "2")
    assert found.exit_code == 0, found.output
    titles = [line.removeprefix("── ") for line in found.stdout.splitlines() if line.startswith("── ")]
    assert titles[:4] == ["1 system", "2 user", "3 assistant", "4 tool"]
    assert titles[4:] == ["tools", "schema of the answer", "reply of m-2, about 42 tokens, $0.5000"]
    assert 'calls query {"sql": "select 1"}' in found.stdout
    assert "[[1]] red" in found.stdout
    assert "\x1b[31m" not in found.stdout


async def test_for_programs_it_is_the_gateways_answer(gateway, run):
    found = await shown(gateway, "data", "2", "--json")
    assert json.loads(found.stdout) == (await turn(gateway, 2)).json()


async def test_a_turn_that_is_not_there_is_exit_code_seven(gateway, run):
    assert (await shown(gateway, "data", "9")).exit_code == 7
