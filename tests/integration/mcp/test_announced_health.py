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
            seen = []

            async def states():
                [report] = (await reports_of_agents(sentinel.client))[agent.name]
                return report.servers[0].connected, report.servers[0].error

            seen.append(await states())
            os.kill(found.pids()[-1], signal.SIGKILL)
            async with asyncio.timeout(20):
                while len(seen) < 3:
                    if (now := await states()) != seen[-1]:
                        seen.append(now)
                    await asyncio.sleep(0.02)
            lost = "it was ended by SIGKILL"
            assert seen == [(True, ""), (False, lost), (True, lost)]
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
