"""Serve an agent: its topic in, its answers out, its card announced."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from schemas.message import Message
from schemas.step import Handoff
from shared.agent.announcing import Announcements
from shared.agent.declare import MOST_TOOLS, Agent
from shared.agent.memory import StoredMemories
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import Worker
from shared.bus import Delivery
from shared.config import ServiceSettings, Settings
from shared.llm import Models, chains_of, check_certificates
from shared.mcp import Servers, servers_for
from shared.memory import MemoryStore
from shared.memory.embedder import check_folder, local_embedder
from shared.service import Parts, connect, serve
from shared.service.kill_switch import KillSwitch
from shared.service.policies import read_configuration
from shared.telemetry.metrics import Metrics
from shared.tools import Tool
from shared.tools.runtime import check_limits


def worker_for(runtime: AgentRuntime, message: Message) -> Worker:
    """Return a worker whose agent has only the tools that the message permits."""
    permitted = message.permitted if isinstance(message, Handoff) else None
    return Worker(replace(runtime, agent=runtime.agent.with_tools(permitted)))


def _runtime(agent: Agent, settings: Settings, own: ServiceSettings, parts: Parts) -> AgentRuntime:
    models = Models(settings, parts.sentinel.scripts, parts.metrics)
    local = local_embedder(settings.memory_model) if settings.memory_model else None
    return AgentRuntime(
        agent=agent,
        settings=settings,
        broker=parts.broker,
        sentinel=parts.sentinel,
        runs=parts.runs,
        archive=parts.archive,
        models=models,
        metrics=parts.metrics,
        stops=KillSwitch(settings),
        agent_settings=own,
        memories=StoredMemories(MemoryStore(settings.postgres), models, local),
    )


def serve_agent(agent: Agent, *, background: Sequence[Callable[[Parts], Awaitable[None]]] = ()) -> None:
    """Run an agent as a service until the process is stopped. `background`: work alongside, without end."""
    settings, own = read_configuration(
        agent.settings,
        lambda settings, _: check_limits(settings.tools, agent.tools),
        lambda settings, _: chains_of(settings),
        lambda *_: check_certificates(os.environ),
        lambda settings, _: check_folder(settings.memory_model),
        lambda settings, _: servers_for(agent.name, settings.mcp, os.environ),
    )
    parts = connect(agent.name, settings, own)
    runtime = _runtime(agent, settings, own, parts)
    servers = mcp_servers(agent, settings, parts.metrics)
    announcements = Announcements(agent, parts, servers, runtime.models.check)

    async def handle(delivery: Delivery) -> None:
        await servers.settled()
        await worker_for(runtime, delivery.message).handle(delivery)

    serve(
        parts,
        [f"agents.{agent.name}"],
        handle,
        on_dead=Worker(runtime).on_dead,
        before_ready=announcements.introduce,
        background=[
            *(announcements.keep, announcements.keep_checking, runtime.stops.follow, servers.keep),
            *(partial(work, parts) for work in background),
        ],
        when=[runtime.stops.wait_loaded],
        warm_up=[runtime.models.prepare],
    )


def mcp_servers(agent: Agent, settings: Settings, metrics: Metrics) -> Servers:
    """Return the MCP servers whose tools the agent gets in addition. Raises Misconfigured."""
    own = tuple(agent.tools)

    def changed(tools: list[Tool]) -> None:
        agent.tools = [*own, *tools]

    declared = servers_for(agent.name, settings.mcp, os.environ)
    return Servers(declared, most=MOST_TOOLS - len(own), metrics=metrics, changed=changed)
