"""The tools an agent has from MCP servers, and waiting for them."""

import asyncio
import json
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from shared.mcp import Servers
from shared.tools import ToolContext

TIME = f"""
[servers.time]
command = {json.dumps(str(Path(sys.executable).with_name("mcp-server-time")))}
args = ["--local-timezone", "UTC"]
agents = ["calc"]
"""
"""A third-party server."""


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
        call = ToolContext("run-1", "step", "call-1", "key-1", 7, tenant, None, None)
        return await self.tool(name).invoke(arguments, call)

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
