"""An agent whose model calls the tools of MCP servers."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from schemas.step import HelpAsked, StepCompleted
from shared.agent import Agent
from shared.agent.serve import mcp_servers
from shared.agent.worker import Worker
from shared.errors import Misconfigured
from shared.telemetry.metrics import Metrics
from tests.support.agent_loop import FINAL, answer, calling, handoff, scripted
from tests.support.plugging import TIME
from tests.support.workers import thinking_agent, worker_of


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return thinking_agent("calc", tmp_path, [])


@pytest.fixture
def declare(tmp_path, settings, agent):
    """The settings of a service whose file of MCP servers says so."""

    def declared(said: str):
        file = tmp_path / "servers.toml"
        file.write_text(said.replace('"calc"', f'"{agent.name}"'))
        return settings.model_copy(update={"mcp": file, "max_turns": 6})

    return declared


@pytest.fixture
async def working(agent, topics, sentinel, model):
    """A worker with the agent's MCP servers connected."""
    async with AsyncExitStack() as closing:

        async def start(settings) -> Worker:
            settings = settings.model_copy(update={"openai_base_url": f"{model}/v1"})
            metrics = Metrics(CollectorRegistry())
            servers = mcp_servers(agent, settings, metrics)
            keeping = asyncio.create_task(servers.keep())
            closing.push_async_callback(stopped, keeping)
            await asyncio.wait_for(servers.settled(), 30)
            return await closing.enter_async_context(worker_of(agent, settings, sentinel, metrics))

        yield start


async def stopped(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=15)


async def test_a_model_calls_a_tool_of_a_third_party_server(agent, declare, working, model):
    read = '[servers.time.tools.convert_time]\nrisk = "low"\neffect = "read"\n'
    worker = await working(declare(TIME + read))
    wanted = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    await scripted(model, agent, calling("time__convert_time", **wanted), FINAL)
    reply, journal = await answer(worker, handoff(agent))
    assert isinstance(reply, StepCompleted)
    told = json.loads(journal.entries()["think-1/turn-1/call-1"])["result"]
    assert told["source"] == "mcp:time"
    assert "T21:00:00+09:00" in told["data"]["target"]["datetime"]
    assert {card.name: card.source for card in agent.card.tools} == {
        "time__get_current_time": "mcp:time",
        "time__convert_time": "mcp:time",
    }


async def test_pages_read_by_a_servers_tool_do_not_count_as_public(agent, declare, odd, working, model):
    terms = 'risk = "low"\neffect = "read"\ndestinations = []\nextra_arguments = true\n'
    worker = await working(declare(f"{odd}[servers.odd.tools.echo]\n{terms}"))
    await scripted(model, agent, calling("odd__echo", text="a", url="https://intranet.example/", path="a.txt"), FINAL)
    _, journal = await answer(worker, handoff(agent))
    assert json.loads(journal.entries()["think-1/turn-1/call-1"])["origin"] == "tool:odd__echo"


async def test_a_server_that_dies_in_a_call_that_may_have_happened_has_a_person_asked(
    agent, declare, odd, working, model, tmp_path
):
    worker = await working(declare(odd + '[servers.odd.tools.die]\nrisk = "low"\n'))
    await scripted(model, agent, calling("odd__die"), FINAL)
    step = handoff(agent)
    reply, _ = await answer(worker, step)
    assert isinstance(reply, HelpAsked)
    assert reply.call == "think-1/turn-1/call-1"
    assert (tmp_path / "calls").read_text().split() == ["die"]


async def test_a_call_that_may_have_happened_is_asked_about_although_its_tool_is_gone(agent, declare, working, model):
    worker = await working(declare(""))
    step = handoff(agent)
    journal = await worker.runtime.journal(step).open()
    entry = {"tool": "odd__die", "arguments": "{}", "epoch": journal.epoch, "permitted_by": None}
    await journal.write("think-1/turn-1/call-1/intent", entry)
    await scripted(model, agent, calling("odd__die"), FINAL)
    reply, _ = await answer(worker, step)
    assert isinstance(reply, HelpAsked)


async def test_in_a_dry_run_only_tools_that_are_said_to_read_are_called(agent, declare, odd, working, model, tmp_path):
    worker = await working(declare(odd + '[servers.odd.tools.echo]\nrisk = "low"\neffect = "read"\n'))
    both = [{"name": "odd__echo", "arguments": {"text": "a"}}, {"name": "odd__long", "arguments": {}}]
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": both}}, FINAL)
    _, journal = await answer(worker, handoff(agent, dry_run=True))
    assert json.loads(journal.entries()["think-1/turn-1/call-2"])["would_call"] == "odd__long"
    assert (tmp_path / "calls").read_text().split() == ["echo"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ('[servers.a]\ncommand = "x"\nagents = ["*"]\nenv = { K = "${NO_SUCH_VARIABLE}" }', "NO_SUCH_VARIABLE"),
        ('[servers.a]\ncommand = "x"\nurl = "http://x"\nagents = ["*"]', "either `command` or `url`"),
        ('[servers.a]\ncommand = "x"', "agents"),
        ('[servers.a]\ncommand = "x"\nagents = ["*"]\nrisky = true', "risky"),
        ('[servers."A b"]\ncommand = "x"\nagents = ["*"]', "servers"),
        ("[servers", "is not TOML"),
    ],
)
def test_an_agent_does_not_start_with_a_file_that_is_wrong_and_says_what_is(agent, declare, said, problem):
    with pytest.raises(Misconfigured, match=problem):
        mcp_servers(agent, declare(said), Metrics(CollectorRegistry()))
