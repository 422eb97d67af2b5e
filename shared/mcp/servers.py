"""MCP servers of one agent: their connections and their combined tools."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from schemas.health import MOST_REPORTED, ServerHealth
from shared.mcp.declare import Declared
from shared.telemetry.metrics import Metrics
from shared.telemetry.series import MCP_CONNECTED, MCP_TOOLS
from shared.tools import Tool

if TYPE_CHECKING:  # `mcp` is slow to import, and most agents have no server
    from shared.mcp.connection import Connection

log = structlog.get_logger()


class Servers:
    """Servers of an agent. `keep` maintains the connections; `tools` are the tools offered now.

    `most`: maximum number of tools, in the order of the file. `changed` is called with the tools when they change.
    `news` is set whenever the tools or the health of a server change.
    """

    def __init__(
        self, declared: Mapping[str, Declared], *, most: int, metrics: Metrics, changed: Callable[[list[Tool]], None]
    ) -> None:
        self.tools: list[Tool] = []
        self.news = asyncio.Event()
        self._declared = declared
        self._most = most
        self._changed = changed
        self._connections = self._connected(metrics) if declared else {}
        self._offered: dict[str, int] = {}
        self._show(metrics)

    def _connected(self, metrics: Metrics) -> "dict[str, Connection]":
        from shared.mcp.connection import Connection  # noqa: PLC0415 -- slow to import

        return {
            name: Connection(name, each, self._gather, metrics.mcp_losses.labels(name).inc, self.news.set)
            for name, each in self._declared.items()
        }

    @property
    def health(self) -> list[ServerHealth]:
        """State of each server; of the first ones, if there are very many."""
        return [self._health(name, each) for name, each in self._connections.items()][:MOST_REPORTED]

    def _health(self, name: str, connection: "Connection") -> ServerHealth:
        return ServerHealth(
            name=name,
            connected=connection.connected,
            since=connection.since,
            tools=self._offered.get(name, 0),
            error=connection.error,
            error_at=connection.error_at,
        )

    async def keep(self) -> None:
        """Keep all servers connected until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._connections.values():
                tasks.create_task(each.keep())

    async def settled(self) -> None:
        """Return when a first connection to each server has succeeded or failed."""
        for each in self._connections.values():
            await each.tried.wait()

    def _gather(self) -> None:
        """Rebuild the tools from the servers' lists."""
        self.tools = []
        for name, connection in self._connections.items():
            before = len(self.tools)
            self._add(self._declared[name], connection)
            self._offered[name] = len(self.tools) - before
        self._changed(self.tools)
        self.news.set()

    def _add(self, server: Declared, connection: "Connection") -> None:
        from shared.mcp.tools import Unusable, tool_of  # noqa: PLC0415 -- slow to import

        if unknown := server.named() - {each.name for each in connection.listed}:
            log.warning("mcp_tools_unknown", server=connection.name, tools=sorted(unknown))
        for listed in connection.listed:
            if not server.takes(listed.name):
                continue
            try:
                tool = self._fitting(tool_of(server, listed, connection))
            except Unusable as why:
                log.warning("mcp_tool_omitted", server=connection.name, tool=listed.name[:100], reason=str(why))
            else:
                self.tools.append(tool)

    def _fitting(self, tool: Tool) -> Tool:
        from shared.mcp.tools import Unusable  # noqa: PLC0415 -- as above

        if len(self.tools) >= self._most:
            raise Unusable(f"the agent has its maximum of {self._most} tools from servers")
        if any(each.name == tool.name for each in self.tools):
            raise Unusable(f"there is already a tool {tool.name}")
        return tool

    def _show(self, metrics: Metrics) -> None:
        if not self._connections:
            return
        kept = self._connections
        metrics.watch(*MCP_CONNECTED, lambda: {(name,): float(each.connected) for name, each in kept.items()})
        metrics.watch(*MCP_TOOLS, lambda: {(name,): float(self._offered.get(name, 0)) for name in kept})
