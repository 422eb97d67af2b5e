"""Serve an agent: its topic in, its answers out, its card announced."""

import asyncio
import os
import time
from dataclasses import replace
from datetime import UTC, datetime

from schemas.log import AgentAnnounced
from schemas.message import Message
from schemas.step import Handoff
from shared import blackboard
from shared.agent.declare import MOST_TOOLS, Agent
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import Worker
from shared.bus import Delivery, encode, publish
from shared.config import ServiceSettings, Settings
from shared.llm import Models, chains_of, check_certificates
from shared.mcp import Servers, servers_for
from shared.service import Parts, connect, serve
from shared.service.kill_switch import KillSwitch
from shared.service.policies import read_configuration
from shared.telemetry.metrics import Metrics
from shared.tools import Tool
from shared.tools.runtime import check_limits

ANNOUNCE_EVERY = 5.0
"""Seconds between announcements, and the longest time an agent stays unknown after the blackboard was lost."""

INTRODUCE_EVERY = 60.0
"""Seconds between records of an agent's card in Kafka. The compacted topic keeps the last one indefinitely."""


def worker_for(runtime: AgentRuntime, message: Message) -> Worker:
    """Return a worker whose agent has only the tools that the message permits."""
    permitted = message.permitted if isinstance(message, Handoff) else None
    return Worker(replace(runtime, agent=runtime.agent.with_tools(permitted)))


def _runtime(agent: Agent, settings: Settings, own: ServiceSettings, parts: Parts) -> AgentRuntime:
    return AgentRuntime(
        agent=agent,
        settings=settings,
        broker=parts.broker,
        sentinel=parts.sentinel,
        runs=parts.runs,
        archive=parts.archive,
        models=Models(settings, parts.sentinel.scripts, parts.metrics),
        metrics=parts.metrics,
        stops=KillSwitch(settings),
        agent_settings=own,
    )


def serve_agent(agent: Agent) -> None:
    """Run an agent as a service until the process is stopped."""
    settings, own = read_configuration(
        agent.settings,
        lambda settings, _: check_limits(settings.tools, agent.tools),
        lambda settings, _: chains_of(settings),
        lambda *_: check_certificates(os.environ),
        lambda settings, _: servers_for(agent.name, settings.mcp, os.environ),
    )
    parts = connect(agent.name, settings, own)
    runtime = _runtime(agent, settings, own, parts)
    servers = mcp_servers(agent, settings, parts.metrics)

    async def handle(delivery: Delivery) -> None:
        await servers.settled()
        await worker_for(runtime, delivery.message).handle(delivery)

    async def announce() -> None:
        await blackboard.announce(parts.redis, agent.card)

    async def introduce() -> None:
        """Announce the card, and record it in Kafka: a rebuild needs the cards of stopped agents, too."""
        card = AgentAnnounced(card=agent.card)
        prefix, source = settings.topic_prefix, f"waggle/{agent.name}"
        record = encode(
            card, id=f"{agent.name}/card", source=source, prefix=prefix, now=datetime.now(UTC), key=agent.name
        )
        await publish(parts.broker, [record])
        await parts.sentinel.wait_ready()
        await announce()

    async def keep_announcing() -> None:
        known, introduced = agent.card, time.monotonic()
        while True:
            await asyncio.sleep(ANNOUNCE_EVERY)
            due = agent.card != known or time.monotonic() - introduced > INTRODUCE_EVERY
            await (introduce() if due else announce())
            if due:
                known, introduced = agent.card, time.monotonic()

    serve(
        parts,
        [f"agents.{agent.name}"],
        handle,
        on_dead=Worker(runtime).on_dead,
        before_ready=introduce,
        background=[keep_announcing, runtime.stops.follow, servers.keep],
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
