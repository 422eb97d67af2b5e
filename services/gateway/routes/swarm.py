"""What the swarm is made of, and how far behind it is."""

import asyncio

from fastapi import APIRouter

from schemas.plan import AgentCard
from services.gateway.failures import UNANSWERED, documented, unavailable
from services.gateway.inputs import PartsOf
from shared.blackboard import known_agents
from shared.bus.groups import groups_by_topic
from shared.bus.lag import TopicLag, topics_with_lag

TIMEOUT = 9.0
"""Seconds Kafka has to say how its topics stand."""

router = APIRouter(tags=["swarm"], responses=documented())


@router.get("/v1/agents", summary="List the agents")
async def list_agents(parts: PartsOf) -> list[AgentCard]:
    """Every agent that has announced itself, with its tools; plans are made of these."""
    return list((await known_agents(parts.redis)).values())


@router.get("/v1/topics", summary="List the topics")
async def list_topics(parts: PartsOf) -> list[TopicLag]:
    """What each topic holds; of each group its state, its members, and how many messages it has still to finish."""
    prefix = parts.settings.topic_prefix
    groups = groups_by_topic(prefix, await known_agents(parts.redis))
    try:
        async with asyncio.timeout(TIMEOUT):
            return await topics_with_lag(parts.settings, groups)
    except UNANSWERED as away:
        raise unavailable("kafka_unavailable", "Kafka cannot be reached") from away
