"""Which agents the swarm has: each announces itself when it starts, and planners choose among them."""

from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client


async def announce(redis: Client, card: AgentCard) -> None:
    """Make the agent known. It stays known while it restarts: its handoffs wait in its topic."""
    await redis.hset(keys.AGENTS, card.name, card.model_dump_json())


async def known_agents(redis: Client) -> dict[str, AgentCard]:
    """The agents that have announced themselves, by name."""
    cards = await redis.hgetall(keys.AGENTS)
    return {name: AgentCard.model_validate_json(card) for name, card in sorted(cards.items())}
