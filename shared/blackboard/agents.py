"""Which agents the swarm has: each announces itself when it starts, and planners choose among them."""

import time
from collections.abc import Mapping

from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client

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
    """`known_agents`, read at most every half second."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._found: Mapping[str, AgentCard] = {}
        self._until = 0.0

    async def get(self) -> Mapping[str, AgentCard]:
        """The agents that have announced themselves, by name."""
        if not self._found or time.monotonic() > self._until:
            self._found = await known_agents(self._redis)
            self._until = time.monotonic() + FRESH_FOR
        return self._found
