"""MCP servers at a URL: they come, go away and come again."""

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.probe import free_port, listens
from shared.mcp import connection
from shared.tools import OUTCOME_UNKNOWN, ToolError
from tests.support.plugging import until

SERVER = Path(__file__).with_name("http_server.py")


@asynccontextmanager
async def serving(port: int, secret: str = "s3cret-token"):
    process = await asyncio.create_subprocess_exec(sys.executable, SERVER, str(port), secret)
    try:
        async with asyncio.timeout(30):
            while not await listens(port):
                await asyncio.sleep(0.05)
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def ledger(port) -> str:
    return (
        f'[servers.ledger]\nurl = "http://127.0.0.1:{port}/mcp"\nagents = ["calc"]\n'
        'headers = { Authorization = "Bearer ${TOKEN}" }\n'
    )


async def test_a_server_at_a_url_is_plugged_in_with_its_credentials(plugged, ledger, port):
    async with serving(port), plugged(ledger) as found:
        assert found.names == {"ledger__add", "ledger__bulk", "ledger__learn"}
        assert await found.call("ledger__add", a=1, b=2) == {"source": "mcp:ledger", "data": {"result": 3}}


async def test_a_server_that_is_unavailable_at_the_start_is_connected_when_it_appears(
    plugged, ledger, port, monkeypatch
):
    monkeypatch.setattr(connection, "LONGEST_PAUSE", 0.5)
    async with plugged(ledger) as found:
        assert found.names == set()
        assert found.metric("waggle_mcp_connected", "ledger") == 0
        assert found.metric("waggle_mcp_losses_total", "ledger") >= 1
        async with serving(port):
            await until(lambda: "ledger__add" in found.names)
            assert (await found.call("ledger__add", a=1, b=2))["data"] == {"result": 3}


async def test_a_server_that_goes_away_is_refused_and_comes_back(plugged, ledger, port, monkeypatch):
    monkeypatch.setattr(connection, "LONGEST_PAUSE", 0.5)
    async with plugged(ledger) as found:
        async with serving(port):
            await until(lambda: found.metric("waggle_mcp_connected", "ledger") == 1)
        with pytest.raises(ToolError) as first:
            await found.call("ledger__add", a=1, b=2)
        assert first.value.code in (OUTCOME_UNKNOWN, "server_unavailable")
        await until(lambda: found.metric("waggle_mcp_connected", "ledger") == 0)
        with pytest.raises(ToolError) as second:
            await found.call("ledger__add", a=1, b=2)
        assert second.value.code == "server_unavailable"
        async with serving(port):
            await until(lambda: found.metric("waggle_mcp_connected", "ledger") == 1)
            assert (await found.call("ledger__add", a=1, b=2))["data"] == {"result": 3}


async def test_tools_that_are_added_are_taken_up_over_the_newer_protocol(plugged, ledger, port):
    async with serving(port), plugged(ledger) as found:
        await found.call("ledger__learn")
        await until(lambda: "ledger__learned" in found.names, 5)


async def test_an_answer_that_is_too_long_is_not_read(plugged, ledger, port):
    async with serving(port), plugged(ledger) as found:
        with pytest.raises(ToolError) as raised:
            await found.call("ledger__bulk")
        assert raised.value.code == OUTCOME_UNKNOWN


async def test_wrong_credentials_leave_the_tools_absent(plugged, ledger, port):
    async with serving(port, "another"), plugged(ledger) as found:
        assert found.names == set()
        assert found.metric("waggle_mcp_connected", "ledger") == 0
