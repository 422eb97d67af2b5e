"""Agents' MCP servers, declared in a file and connected as a service has them."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from shared.mcp import Servers, servers_for
from shared.telemetry.metrics import Metrics
from tests.support.plugging import Plugged

ODD = Path(__file__).with_name("odd_server.py")


@pytest.fixture
def plugged(tmp_path):
    """Plug in what a TOML text declares, for as long as the context lasts."""

    @asynccontextmanager
    async def plug(declared: str, most: int = 40):
        file = tmp_path / "servers.toml"
        file.write_text(declared)
        registry = CollectorRegistry()
        environment = {"TOKEN": "s3cret-token", "OTHER": "not yours"}
        found = servers_for("calc", file, environment)
        servers = Servers(found, most=most, metrics=Metrics(registry), changed=lambda tools: None)
        keeping = asyncio.create_task(servers.keep())
        try:
            await asyncio.wait_for(servers.settled(), 30)
            yield Plugged(servers, registry, tmp_path)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping], timeout=15)
            assert keeping.done()

    return plug


@pytest.fixture
def odd(tmp_path) -> str:
    """The declaration of the odd server; rules of tools can be added behind it."""
    command, args = json.dumps(sys.executable), json.dumps([str(ODD), str(tmp_path)])
    return f'[servers.odd]\nagents = ["calc"]\ntimeout = 2\ncommand = {command}\nargs = {args}\n'
