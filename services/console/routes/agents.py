"""Agents: their tools, versions and stops, and the MCP servers that the tools come from."""

import asyncio
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.agents import AgentView
from schemas.arguments import Argument, arguments_in
from schemas.health import ServerHealth
from schemas.plan import ToolCard
from schemas.stop import WorkStopped
from services.console.gateway import Gateway, GatewayFailure
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

_MCP = "mcp:"


@router.get("/agents")
async def list_agents(visitor: VisitorDep) -> Response:
    """All agents that have announced themselves."""
    agents, stops = await asyncio.gather(visitor.gateway.ask_many(AgentView, "/v1/agents"), _stops(visitor.gateway))
    stopped = {stop.scope: stop for stop in stops or []}
    shown = [(agent, servers_of(agent)) for agent in agents]
    unknown = stops is None
    return page(visitor, "agents.html", agents=shown, arguments=_arguments, stopped=stopped, unknown=unknown)


def _arguments(tool: ToolCard) -> list[Argument]:
    return arguments_in(tool.arguments.content) if tool.arguments else []


class SeenServer(NamedTuple):
    """An MCP server as one replica of an agent reports it; `tools`: names of its announced tools."""

    name: str
    tools: list[str]
    health: ServerHealth | None = None
    replica: str = ""


def servers_of(agent: AgentView) -> list[SeenServer]:
    """Return each server once per replica that reports it, lost ones first, then those that only their tools name."""
    tools = dict[str, list[str]]()
    for tool in agent.tools:
        if tool.source and tool.source.startswith(_MCP):
            tools.setdefault(tool.source.removeprefix(_MCP), []).append(tool.name)
    reports = [(server, each.replica) for each in agent.replicas for server in each.servers]
    found = [SeenServer(server.name, tools.get(server.name, []), server, replica) for server, replica in reports]
    unreported = tools.keys() - {server.name for server, _ in reports}
    return [
        *sorted(found, key=lambda each: (each.health is not None and each.health.connected, each.name, each.replica)),
        *(SeenServer(name, tools[name]) for name in sorted(unreported)),
    ]


async def _stops(gateway: Gateway) -> list[WorkStopped] | None:
    """Return the stops; None for a visitor who may not see them."""
    try:
        return await gateway.stops()
    except GatewayFailure as failure:
        if failure.status != 403:
            raise
        return None
