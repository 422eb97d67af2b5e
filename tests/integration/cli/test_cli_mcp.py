"""`waggle mcp`, spoken to by the official client as its own process."""

import asyncio
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from infra.probe import free_port, listens
from tests.support.fake_gateway import RUN, dead_letter, view

ROOT = Path(__file__).parents[3]
COMMAND = ["-m", "services.cli", "mcp"]


@pytest.fixture
def client(gateway):
    """A client of `waggle mcp`, which talks to the scripted gateway."""

    @asynccontextmanager
    async def connected(*allowed):
        args = [*COMMAND, "--gateway", gateway.url, *(part for each in allowed for part in ("--allow", each))]
        async with Client(StdioServerParameters(command=sys.executable, args=args, cwd=ROOT)) as found:
            yield found

    return connected


ALL = {
    "submit_task",
    "run_task",
    "list_runs",
    "list_agents",
    "list_questions",
    "show_costs",
    "run_status",
    "follow_run",
    "get_result",
    "say_to_run",
    "cancel_run",
    *("list_memories", "search_memories", "show_memory"),
}
DECIDING = {"answer_question", "withdraw_answer", "delegate_question", "apply_dry_run"} | {
    f"{verb}_memory" for verb in ("correct", "confirm", "pin", "unpin", "forget")
}


async def test_a_client_is_offered_no_tool_that_decides_or_operates_unless_it_is_allowed(client):
    async with client() as found:
        tools = {tool.name: tool for tool in (await found.list_tools()).tools}
        assert tools.keys() == ALL
        assert tools["cancel_run"].annotations.destructive_hint
        assert tools["list_questions"].annotations.read_only_hint
        assert "a person answers with `waggle inbox`, not you" in found.instructions
    async with client("decide") as found:
        tools = {tool.name: tool for tool in (await found.list_tools()).tools}
        assert tools.keys() == ALL | DECIDING
        assert tools["answer_question"].annotations.destructive_hint
        assert "Never decide yourself" in " ".join(found.instructions.split())
        answers = tools["answer_question"].input_schema["$defs"]["Reply"]["enum"]
        assert set(answers) == {"approve", "edit", "respond", "reject", "skip"}


async def test_a_person_s_decisions_are_passed_on_with_their_types(client, script):
    script.add_waiting()
    about = {"run_id": RUN, "question_id": "q1"}
    async with client("decide") as found:
        edit = {"answer": "edit", "arguments": {"to": ["a@example.org"], "n": 2}, "digest": "d" * 64}
        for tool, arguments in (
            ("answer_question", about | edit),
            ("withdraw_answer", about),
            ("delegate_question", about | {"to": "ben"}),
            ("apply_dry_run", {"run_id": RUN, "digest": "e" * 64}),
        ):
            assert not (await found.call_tool(tool, arguments)).is_error
        wrong = await found.call_tool("answer_question", about | {"answer": "maybe"})
        assert wrong.is_error
        script.refusal_of_command = (409, "not_awaited", "the answer is not taken: another group", "GET the run")
        refused = await found.call_tool("answer_question", about | {"answer": "approve"})
        assert "another group; GET the run" in refused.content[0].text
    by = {"by": "an MCP client"}
    order = {"request_id": "q1", "decision": "edit", "answer": "", "arguments": edit["arguments"], "digest": "d" * 64}
    assert script.commands == [
        (RUN, "decisions", by | order),
        (RUN, "decisions/withdraw", by | {"request_id": "q1"}),
        (RUN, "decisions/delegate", by | {"request_id": "q1", "to": "ben"}),
        (RUN, "carry-out", by | {"digest": "e" * 64}),
    ]


async def test_an_operator_s_tools_stop_pause_and_handle_dead_letters(client, script):
    script.add()
    script.dead = {"tasks.dlt/0/17": dead_letter("tasks.dlt/0/17")}
    letter = {"name": "tasks.dlt/0/17", "reason": "fixed"}
    async with client("operate") as found:
        for tool, arguments in (
            ("pause_run", {"run_id": RUN, "reason": "look"}),
            ("resume_run", {"run_id": RUN}),
            ("stop_work", {"scope": "agent:research", "reason": "loops"}),
            ("lift_stop", {"scope": "agent:research"}),
            ("list_stops", {}),
            ("list_topics", {}),
            ("list_dead_letters", {"topic": "tasks", "limit": 5}),
            ("show_dead_letter", {"name": "tasks.dlt/0/17"}),
            ("redrive_dead_letter", letter),
            ("discard_dead_letter", letter),
            ("edit_dead_letter", letter | {"value": {"objective": "count"}}),
        ):
            answer = await found.call_tool(tool, arguments)
            assert not answer.is_error, (tool, answer.content)
    assert [verb for _, verb, _ in script.commands] == ["pause", "resume"]
    assert script.searches == [{"topic": "tasks", "limit": "5"}]
    assert [verb for _, verb, _ in script.orders] == ["redrive", "discard", "edit"]
    assert script.orders[-1][2]["dry_run"], "an edit is only checked unless it is asked for"
    assert script.stops == {}


async def test_a_task_is_handed_in_once_for_a_key(client, script):
    async with client() as found:
        asked = {"objective": "count", "agent": "data", "dry_run": True, "key": "k1"}
        answer = await found.call_tool("submit_task", asked)
        assert answer.structured_content["run_id"] == RUN
    [(task, key, query)] = script.tasks
    assert (task["objective"], task["shape"], task["agent"], task["dry_run"]) == ("count", "single", "data", True)
    assert (key, query) == ("k1", {"tenant": "default"})


async def test_a_run_is_followed_to_its_end_and_every_change_is_reported(client, script):
    script.add()
    step = {"id": "s1", "agent": "research", "objective": "look", "attempts": 1}
    script.runs[RUN] = view("EXECUTING", steps=[step | {"status": "running"}])
    told = []

    async def tell(progress, total, message):
        told.append((progress, message))
        script.runs[RUN] = view("COMPLETE", steps=[step | {"status": "done"}])

    async with client() as found:
        answer = await found.call_tool("follow_run", {"run_id": RUN}, progress_callback=tell)
        assert answer.structured_content["state"] == "COMPLETE"
        result = await found.call_tool("get_result", {"run_id": RUN})
        assert result.structured_content["answer"] == "It is **so**."
    assert told == [
        (1, "EXECUTING, 0 of 1 steps done, research working"),
        (2, "COMPLETE, 1 of 1 steps done"),
    ]


async def test_following_ends_when_a_person_is_asked_or_the_time_is_over(client, script):
    script.add_waiting()
    async with client() as found:
        waiting = await found.call_tool("follow_run", {"run_id": RUN})
        assert waiting.structured_content["waiting_for"]["question"] == "Send it?"
        script.runs[RUN] = view("EXECUTING")
        late = await found.call_tool("follow_run", {"run_id": RUN, "seconds": 0.5})
        assert late.structured_content["state"] == "EXECUTING"


async def test_following_outlives_a_gateway_that_is_started_again(client, script, gateway):
    script.add()
    async with client() as found:
        gateway.stop()
        following = asyncio.create_task(found.call_tool("follow_run", {"run_id": RUN}))
        await asyncio.sleep(1)
        gateway.start()
        assert (await following).structured_content["state"] == "COMPLETE"


async def test_an_impossible_request_is_an_error_that_says_how_to_fix_it(client, script, gateway):
    async with client() as found:
        unknown = await found.call_tool("run_status", {"run_id": "no-such"})
        assert unknown.is_error
        assert "this tenant has no run no-such" in unknown.content[0].text
        script.runs[RUN] = view("EXECUTING")
        early = await found.call_tool("get_result", {"run_id": RUN})
        assert early.is_error
        assert "EXECUTING" in early.content[0].text
        bad = await found.call_tool("submit_task", {"objective": "x", "agent": "No Such Agent!"})
        assert bad.is_error
        gateway.stop()
        away = await found.call_tool("run_status", {"run_id": RUN})
        assert "cannot reach the gateway" in away.content[0].text
        gateway.start()


async def test_a_run_is_cancelled_with_its_reason(client, script):
    async with client() as found:
        await found.call_tool("cancel_run", {"run_id": RUN, "reason": "enough"})
    assert script.commands == [(RUN, "cancel", {"by": "an MCP client", "reason": "enough"})]


async def test_it_is_served_over_http_too(gateway, script):
    script.add()
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, *COMMAND, "--gateway", gateway.url, "--port", str(port), cwd=ROOT
    )
    try:
        async with asyncio.timeout(30):
            while not await listens(port):
                await asyncio.sleep(0.05)
        async with Client(f"http://127.0.0.1:{port}/mcp") as found:
            answer = await found.call_tool("run_status", {"run_id": RUN})
            assert answer.structured_content["state"] == "COMPLETE"
    finally:
        server.terminate()
        await server.wait()


def test_the_example_of_the_page_works(gateway, script, tmp_path):
    script.add()
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mcp.md").read_text(), re.DOTALL)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }
    (tmp_path / ".waggle").mkdir()
    (tmp_path / ".waggle" / "endpoints.env").write_text(f"WAGGLE_GATEWAY={gateway.url}\n")
    ran = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["COMPLETE", "It is **so**."]
