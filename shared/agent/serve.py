"""What makes a service of an agent."""

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
from shared.agent.worker import Worker
from shared.bus import Delivery, encode, publish
from shared.config import Settings, read_settings
from shared.llm import Models
from shared.mcp import Servers, servers_for
from shared.service import connect, serve
from shared.service.kill_switch import KillSwitch
from shared.service.policies import refusing_to_start
from shared.telemetry.metrics import Metrics
from shared.tools import Tool
from shared.tools.runtime import check_limits

ANNOUNCE_EVERY = 5.0
"""Seconds between announcements: so long an agent stays unknown after the blackboard was lost."""

INTRODUCE_EVERY = 60.0
"""Seconds between records of an agent's card in Kafka: the compacted topic keeps the last one, however old it is."""


def limited(worker: Worker, message: Message) -> Worker:
    """The worker with the tools that may be called for this message."""
    permitted = message.permitted if isinstance(message, Handoff) else None
    return replace(worker, agent=worker.agent.with_tools(permitted))


def serve_agent(agent: Agent) -> None:
    """Run an agent as a service: its topic in, its answers out, its card announced."""
    settings = read_settings()
    parts = connect(agent.name, settings)
    with refusing_to_start():
        check_limits(settings.tools, agent.tools)
        models = Models(settings, parts.sentinel.scripts, parts.metrics)
        servers = mcp_servers(agent, settings, parts.metrics)
    stops = KillSwitch(settings)
    worker = Worker(
        agent, settings, parts.broker, parts.sentinel, parts.runs, parts.archive, models, parts.metrics, stops
    )

    async def handle(delivery: Delivery) -> None:
        await servers.settled()
        await limited(worker, delivery.message).handle(delivery)

    async def announce() -> None:
        await blackboard.announce(parts.redis, agent.card)

    async def introduce() -> None:
        """For good, too: whoever rebuilds the blackboard must know the agents that are down in that moment."""
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
        on_dead=worker.on_dead,
        before_ready=introduce,
        background=[keep_announcing, stops.follow, servers.keep],
        when=[stops.wait_loaded],
    )


def mcp_servers(agent: Agent, settings: Settings, metrics: Metrics) -> Servers:
    """The MCP servers whose tools the agent gets beside its own. Raises Misconfigured."""
    own = tuple(agent.tools)

    def changed(tools: list[Tool]) -> None:
        agent.tools = [*own, *tools]

    declared = servers_for(agent.name, settings.mcp, os.environ)
    return Servers(declared, most=MOST_TOOLS - len(own), metrics=metrics, changed=changed)
