"""A swarm whose research agent has the tools of a public MCP server, used by an MCP client."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from mcp import Client, StdioServerParameters

from tests.conftest import started
from tests.support.mcp_tasks import TasksClient, created, outcome

SERVICES = ["gateway", "orchestrator", "research", "reviewer", "timekeeper"]
OBJECTIVE = "At what time in Tokyo is it noon in UTC?"


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, tmp_path_factory):
    """Budget of a task for one agent."""
    folder = tmp_path_factory.mktemp("swarm-with-mcp")
    command = json.dumps(str(Path(sys.executable).with_name("mcp-server-time")))
    (folder / "servers.toml").write_text(
        f'[servers.time]\ncommand = {command}\nagents = ["research"]\n'
        '[servers.time.tools.convert_time]\nrisk = "low"\neffect = "read"\n'
    )
    for tenant in ("acme", "beta"):
        (folder / "documents" / tenant).mkdir(parents=True)
        (folder / "documents" / tenant / "plan.md").write_text(f"The zeppelin is {tenant}'s.")
    environment = os.environ | {
        "WAGGLE_KAFKA": own_kafka,
        "OPENAI_BASE_URL": f"{model}/v1",
        "OPENAI_API_KEY": "simulated",
        "WAGGLE_MCP": str(folder / "servers.toml"),
        "WAGGLE_DOCUMENTS": f"{folder}/documents/{{tenant}}",
    }
    async with started(folder, environment, services=SERVICES) as stack:
        yield stack


async def test_an_mcp_client_gets_an_answer_that_a_tool_of_an_mcp_server_was_used_for(swarm, model):
    wanted = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    calls = [{"name": "time__convert_time", "arguments": wanted}]
    when = {"agent": "research", "objective": OBJECTIVE, "turn": 0}
    async with httpx.AsyncClient(base_url=model) as models:
        scenario = {"name": "tokyo", "when": when, "reply": {"calls": calls}}
        (await models.post("/scenarios", json=scenario)).raise_for_status()

    gateway = swarm.endpoints["WAGGLE_GATEWAY"]
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "services.cli", "mcp", "--gateway", gateway])
    async with Client(parameters) as waggle:
        asked = {"objective": OBJECTIVE, "agent": "research"}
        run = {"run_id": (await waggle.call_tool("submit_task", asked)).structured_content["run_id"]}
        status = await waggle.call_tool("follow_run", run | {"seconds": 60})
        assert status.structured_content["state"] == "COMPLETE", status
        result = await waggle.call_tool("get_result", run)
        assert result.structured_content["status"] == "complete"

    async with httpx.AsyncClient(base_url=gateway) as asking:
        trace = (await asking.get(f"/v1/runs/{run['run_id']}/trace")).json()
        async with asyncio.timeout(15):  # an agent announces a changed card within five seconds
            while "time__convert_time" not in (tools := tools_in((await asking.get("/v1/agents")).json())):
                await asyncio.sleep(0.2)
    done = [each["what"] for work in trace["works"] for attempt in work["attempts"] for each in attempt["actions"]]
    assert any(each.startswith("time__convert_time") for each in done)
    assert tools["time__convert_time"] == "mcp:time"
    assert tools["read_document"] is None


async def test_a_task_is_found_again_after_waggle_mcp_was_killed(swarm, tmp_path):
    gateway, pid = swarm.endpoints["WAGGLE_GATEWAY"], tmp_path / "pid"
    serve = f"echo $$ > {pid}; exec {sys.executable} -m services.cli mcp --gateway {gateway}"
    parameters = StdioServerParameters(command="sh", args=["-c", serve])
    once = {"objective": "What is a swarm?", "agent": "research", "key": "asked-once"}
    async with Client(parameters, extensions=[TasksClient()]) as waggle:
        task = await created(waggle.session, **once)
        os.kill(int(pid.read_text()), signal.SIGKILL)
    async with Client(parameters, extensions=[TasksClient()]) as waggle:
        assert (await created(waggle.session, **once)).task_id == task.task_id
        result = await outcome(waggle.session, task.task_id)
        assert (result.is_error, result.structured_content["run_id"]) == (False, task.task_id)


async def test_a_task_searches_the_documents_of_its_own_tenant_alone(swarm, model):
    calls = [{"name": "search_documents", "arguments": {"query": "zeppelin"}}]
    when = {"agent": "research", "objective": "Whose is the zeppelin?", "turn": 0}
    async with httpx.AsyncClient(base_url=model) as models:
        (
            await models.post("/scenarios", json={"name": "zeppelin", "when": when, "reply": {"calls": calls}})
        ).raise_for_status()
    seen = {}
    for tenant in ("acme", "beta", "gamma"):
        args = ["-m", "services.cli", "mcp", "--gateway", swarm.endpoints["WAGGLE_GATEWAY"], "--tenant", tenant]
        async with Client(StdioServerParameters(command=sys.executable, args=args)) as waggle:
            asked = {"objective": "Whose is the zeppelin?", "agent": "research"}
            result = (await waggle.call_tool("run_task", asked)).structured_content
        async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_GATEWAY"]) as asking:
            [step] = result["steps"]
            path = f"/v1/runs/{result['run_id']}/steps/{step['id']}/turns"
            turns = (await asking.get(path, params={"tenant": tenant})).json()["turns"]
            shown = [(await asking.get(f"{path}/{each['turn']}", params={"tenant": tenant})).text for each in turns[1:]]
        seen[tenant] = "".join(shown)
    assert [name for name, text in seen.items() if "The zeppelin is acme's" in text] == ["acme"]
    assert [name for name, text in seen.items() if "The zeppelin is beta's" in text] == ["beta"]
    assert "no folder of tenant `gamma`" in seen["gamma"]


def tools_in(agents: list[dict]) -> dict[str, str | None]:
    """Every tool's name and where it comes from."""
    return {tool["name"]: tool.get("source") for card in agents for tool in card["tools"]}
