"""What the swarm consists of."""

from fastapi import APIRouter

from schemas.plan import AgentCard
from services.gateway.doors import Opened
from shared.blackboard import known_agents
from shared.bus.lag import TopicState, topic_states

router = APIRouter(prefix="/v1")


@router.get("/agents", summary="List agents")
async def agents(opened: Opened) -> list[AgentCard]:
    """The agents that have announced themselves."""
    return list((await known_agents(opened.parts.redis)).values())


@router.get("/topics", summary="List topics")
async def topics(opened: Opened) -> list[TopicState]:
    """The swarm's topics, how much is in them, and how far behind each consumer group is."""
    known = await known_agents(opened.parts.redis)
    return await topic_states(opened.parts.settings, known)
