"""A serving agent announces the loss and return of an MCP server at once, and gives signs of life in between."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from shared import bus
from shared.agent.announcing import Announcements
from shared.blackboard import known_agents, reports_of_agents
from tests.support.workers import thinking_agent

pytestmark = pytest.mark.broker


async def test_a_loss_and_a_return_are_on_the_blackboard_within_seconds(
    plugged, odd, settings, topics, sentinel, tmp_path
):
    broker = bus.connect(settings, "calc")
    async with broker, plugged(odd) as found:
        parts = SimpleNamespace(settings=settings, broker=broker, sentinel=sentinel, redis=sentinel.client)
        agent = thinking_agent("calc", tmp_path, found.servers.tools)

        async def check():
            return []

        announcements = Announcements(agent, parts, found.servers, check)
        await announcements.introduce()
        keeping = asyncio.create_task(announcements.keep())
        try:
            [card] = (await known_agents(sentinel.client)).values()
            assert {tool.source for tool in card.tools} == {"mcp:odd"}

            async def announced(connected: bool, error: str) -> None:
                async with asyncio.timeout(15):
                    while True:
                        [report] = (await reports_of_agents(sentinel.client))[agent.name]
                        if (report.servers[0].connected, report.servers[0].error) == (connected, error):
                            return
                        await asyncio.sleep(0.02)

            await announced(True, "")
            wait = tmp_path / "wait"
            wait.touch()  # it returns within 0.6 s otherwise, perhaps before the next announcement is due
            os.kill(found.pids()[-1], signal.SIGKILL)
            lost = "it was ended by SIGKILL"
            await announced(False, lost)
            wait.unlink()
            await announced(True, lost)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
