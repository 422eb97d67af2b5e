"""Announcements of a serving agent: its card, and what this replica reports of its MCP servers and models."""

import asyncio
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from schemas.health import AgentHealth, ModelHealth
from schemas.log import AgentAnnounced
from shared import blackboard
from shared.agent.declare import Agent
from shared.bus import encode, publish
from shared.mcp import Servers
from shared.service import Parts

log = structlog.get_logger()

ALIVE_EVERY = 5.0
"""Seconds between signs of life, and the longest time an agent stays unknown after the blackboard was lost."""

INTRODUCE_EVERY = 60.0
"""Seconds between records of an agent's card in Kafka. The compacted topic keeps the last one indefinitely."""

SHORTEST_PAUSE = 0.5
"""Seconds between announcements of changes, so that a server that comes and goes cannot flood the blackboard."""

FIRST_CHECK_AFTER = (1.0, 3.0)
"""Seconds after the start."""

CHECK_EVERY, RECHECK_EVERY = 300.0, 30.0
"""Seconds between checks of the models' endpoints; the second, while one of them is not well."""


class Announcements:
    """Announces an agent: whole when something has changed or was lost, else by a sign of life."""

    def __init__(
        self, agent: Agent, parts: Parts, servers: Servers, check: Callable[[], Awaitable[list[ModelHealth]]]
    ) -> None:
        self._agent = agent
        self._parts = parts
        self._servers = servers
        self._check = check
        self._replica = secrets.token_hex(4)
        self._models: list[ModelHealth] = []
        self._card = agent.card
        self._introduced = -math.inf
        self._serving = asyncio.Event()

    @property
    def health(self) -> AgentHealth:
        """Report of this replica as of now."""
        servers, models = self._servers.health, self._models
        return AgentHealth(agent=self._agent.name, replica=self._replica, servers=servers, models=models)

    async def introduce(self) -> None:
        """Announce the card, and record it in Kafka: a rebuild needs the cards of stopped agents, too."""
        self._card, self._introduced = self._agent.card, -math.inf
        settings, name = self._parts.settings, self._agent.name
        record = encode(
            AgentAnnounced(card=self._card),
            id=f"{name}/card",
            source=f"waggle/{name}",
            prefix=settings.topic_prefix,
            now=datetime.now(UTC),
            key=name,
        )
        await publish(self._parts.broker, [record])
        await self._parts.sentinel.wait_ready()
        await self._announce()
        self._introduced = time.monotonic()
        self._serving.set()

    async def keep(self) -> None:
        """Announce every change at once, and give signs of life in between."""
        while True:
            await asyncio.sleep(SHORTEST_PAUSE)
            changed = await self._changed()
            if self._agent.card != self._card or time.monotonic() - self._introduced > INTRODUCE_EVERY:
                await self.introduce()
            elif changed or not await blackboard.still_announced(self._parts.redis, self._card, self.health):
                await self._announce()

    async def keep_checking(self) -> None:
        """Check the models' endpoints by the lists of their models, and announce the outcome.

        Starts late, since the client takes half a second to import and a starting agent has more urgent work.
        """
        await self._serving.wait()
        await asyncio.sleep(random.uniform(*FIRST_CHECK_AFTER))  # noqa: S311 -- jitter
        while True:
            self._models = await self._check()
            self._servers.news.set()
            well = all(each.verdict == "ok" for each in self._models)
            for each in self._models:
                if each.verdict != "ok":
                    log.warning("model_check_failed", dependency=each.endpoint, model=each.model, reason=each.found)
            await asyncio.sleep((CHECK_EVERY if well else RECHECK_EVERY) * random.uniform(0.9, 1.1))  # noqa: S311

    async def _announce(self) -> None:
        await blackboard.announce(self._parts.redis, self._card, self.health)

    async def _changed(self) -> bool:
        """Wait for a change, at most until the next sign of life is due; return True if there was one."""
        news = self._servers.news
        try:
            async with asyncio.timeout(ALIVE_EVERY - SHORTEST_PAUSE):
                await news.wait()
        except TimeoutError:
            return False
        news.clear()
        return True
