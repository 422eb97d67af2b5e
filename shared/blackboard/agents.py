"""Which agents the swarm has: each announces itself when it starts, and planners choose among them."""

import time
from collections.abc import Mapping

from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.sentinel import Sentinel

FRESH_FOR = 0.5
"""Seconds for which what was read of the agents is used again."""


async def announce(redis: Client, card: AgentCard) -> None:
    """Make the agent known. It stays known while it restarts: its handoffs wait in its topic."""
    await redis.hset(keys.AGENTS, card.name, card.model_dump_json())


async def known_agents(redis: Client) -> dict[str, AgentCard]:
    """The agents that have announced themselves, by name."""
    cards = await redis.hgetall(keys.AGENTS)
    return {name: AgentCard.model_validate_json(card) for name, card in sorted(cards.items())}


class KnownAgents:
    """`known_agents`, read at most every half second and anew after every rebuild."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._generation = ""
        self._found: Mapping[str, AgentCard] = {}
        self._until = 0.0

    async def get(self) -> Mapping[str, AgentCard]:
        """The agents that have announced themselves, by name."""
        generation = self._sentinel.generation
        if not self._found or generation != self._generation or time.monotonic() > self._until:
            self._found = await known_agents(self._sentinel.client)
            self._generation = generation
            self._until = time.monotonic() + FRESH_FOR
        return self._found
