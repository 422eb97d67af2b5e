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
from tests.support.fake_gateway import RUN, view

ROOT = Path(__file__).parents[3]
COMMAND = ["-m", "services.cli", "mcp"]


@pytest.fixture
def client(gateway):
    """A client of `waggle mcp`, which talks to the scripted gateway."""

    @asynccontextmanager
    async def connected():
        args = [*COMMAND, "--gateway", gateway.url]
        async with Client(StdioServerParameters(command=sys.executable, args=args, cwd=ROOT)) as found:
            yield found

    return connected


async def test_a_client_can_list_the_tools(client):
    async with client() as found:
        tools = {tool.name: tool for tool in (await found.list_tools()).tools}
        assert tools.keys() == {"submit_task", "run_status", "follow_run", "get_result", "cancel_run"}
        assert tools["cancel_run"].annotations.destructive_hint
        assert "waggle approvals" in found.instructions


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
        assert "there is no such run" in unknown.content[0].text
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
