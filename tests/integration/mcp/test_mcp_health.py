"""The health of MCP servers as agents report it: changes at once, in our words, without what a server said."""

import asyncio
import sys
from contextlib import suppress

import pytest

from infra.probe import free_port
from schemas.health import AgentHealth
from shared.mcp import connection
from shared.tools import ToolError
from tests.integration.mcp.test_mcp_http import serving
from tests.support.plugging import until


def of(found):
    [server] = found.servers.health
    return server


async def news(found):
    """Return the next state that is reported as a change."""
    found.servers.news.clear()
    await asyncio.wait_for(found.servers.news.wait(), 20)
    return of(found)


async def test_a_server_that_dies_and_comes_back_is_reported_each_time(plugged, odd):
    async with plugged(odd) as found:
        first = of(found)
        assert (first.connected, first.error, first.error_at) == (True, "", None)
        assert first.tools == len(found.servers.tools) > 10
        dying = asyncio.create_task(found.call("odd__die"))
        lost = await news(found)
        assert (lost.connected, lost.error) == (False, "it ended with status 3")
        assert first.since < lost.since <= lost.error_at
        assert lost.tools == first.tools, "an agent keeps the tools"
        with suppress(ToolError):  # the call that ends its own server has no result
            await dying
        back = await news(found)
        assert (back.connected, back.error, back.error_at) == (True, lost.error, lost.error_at)
        assert back.since > lost.since


async def test_a_server_that_stays_lost_for_one_reason_is_reported_once(plugged, monkeypatch):
    monkeypatch.setattr(connection, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(connection, "SHORTEST_PAUSE", 0.05)
    program = "import sys; print('password=hunter22', file=sys.stderr); sys.exit(5)"
    declared = f'agents = ["calc"]\ncommand = "{sys.executable}"\nargs = ["-c", "{program}"]\n'
    async with plugged(f"[servers.odd]\n{declared}") as found:
        lost = of(found)
        assert (lost.connected, lost.error) == (False, "it ended with status 5")
        found.servers.news.clear()
        await until(lambda: found.metric("waggle_mcp_losses_total", "odd") >= 4)
        assert not found.servers.news.is_set()
        assert of(found) == lost
        assert "hunter22" not in AgentHealth(agent="calc", replica="a", servers=[lost]).model_dump_json()


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ('command = "/no/such/command"', "its command was not found"),
        ('command = "/etc/passwd"', "its command may not be executed"),
        (f'command = "{sys.executable}"\nargs = ["-c", "import time; time.sleep(60)"]', "it did not answer within 2 s"),
        (f'url = "http://127.0.0.1:{free_port()}/mcp"', "nothing answers at its address"),
    ],
    ids=["no command", "no program", "silent", "nobody there"],
)
async def test_each_cause_has_its_words(plugged, declared, error):
    async with plugged(f'[servers.odd]\nagents = ["calc"]\nconnect_timeout = 2\n{declared}\n') as found:
        assert (of(found).connected, of(found).error, of(found).tools) == (False, error, 0)


async def test_a_server_that_refuses_the_key_is_reported_without_it(plugged):
    port = free_port()
    headers = 'headers = { Authorization = "Bearer ${OTHER}" }'
    declared = f'[servers.ledger]\nurl = "http://127.0.0.1:{port}/mcp"\nagents = ["calc"]\n{headers}\n'
    async with serving(port), plugged(declared) as found:
        assert of(found).error == "it refuses our credentials (401)"
        assert "not yours" not in of(found).model_dump_json()
