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
from shared.tools import ToolCall

ODD = Path(__file__).with_name("odd_server.py")


class Plugged:
    """The tools an agent has from the servers of a file."""

    def __init__(self, servers: Servers, registry: CollectorRegistry, folder: Path) -> None:
        self.servers = servers
        self.registry = registry
        self.folder = folder

    @property
    def names(self) -> set[str]:
        return {tool.name for tool in self.servers.tools}

    def tool(self, name: str):
        return next(tool for tool in self.servers.tools if tool.name == name)

    async def call(self, name: str, /, tenant: str = "default", **arguments):
        call = ToolCall("run-1", "step", "call-1", "key-1", 7, tenant, None, None)
        return await self.tool(name)(arguments, call)

    def metric(self, name: str, server: str) -> float | None:
        return self.registry.get_sample_value(name, {"server": server})

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().split() if path.exists() else []

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.folder / "pids").read_text().split()]


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def plugged(tmp_path, monkeypatch):
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
