"""Agents: their tools, versions and stops, and the MCP servers that the tools come from."""

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from schemas.plan import AgentCard
from schemas.stop import WorkStopped
from services.console.gateway import Gateway, GatewayFailure
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

_MCP = "mcp:"


@router.get("/agents")
async def list_agents(visitor: VisitorDep) -> Response:
    """All agents that have announced themselves."""
    agents, stops = await asyncio.gather(visitor.gateway.ask_many(AgentCard, "/v1/agents"), _stops(visitor.gateway))
    servers = dict[str, list[str]]()
    for agent in agents:
        for tool in agent.tools:
            if tool.source and tool.source.startswith(_MCP):
                servers.setdefault(tool.source.removeprefix(_MCP), []).append(f"{agent.name}: {tool.name}")
    stopped = {stop.scope: stop for stop in stops or []}
    return page(visitor, "agents.html", agents=agents, stopped=stopped, unknown=stops is None, servers=servers)


async def _stops(gateway: Gateway) -> list[WorkStopped] | None:
    """Return the stops; None for a visitor who may not see them."""
    try:
        return await gateway.stops()
    except GatewayFailure as failure:
        if failure.status != 403:
            raise
        return None
