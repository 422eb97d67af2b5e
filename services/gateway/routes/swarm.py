"""What the swarm is made of, and how far behind it is."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path
from pydantic import Field

from schemas.message import MOST
from schemas.plan import AgentCard
from schemas.skip import BatchSkipped
from services.gateway.dependencies import CallerDep, PartsDep
from services.gateway.errors import UNANSWERED, Refused, error_responses, unavailable
from services.gateway.publishing import deliver
from services.gateway.routes.commands import ReasonedOrder
from shared.blackboard import known_agents
from shared.bus.admin import TopicLag, topics_with_lag, unreadable_at
from shared.bus.groups import groups_by_topic

TIMEOUT = 9.0
"""Seconds Kafka has to say how its topics stand."""

GivenTopic = Annotated[str, Path(max_length=249, description="The topic, without the prefix.")]
GivenPartition = Annotated[int, Path(ge=0, le=MOST)]

router = APIRouter(tags=["swarm"], responses=error_responses())


class SkipOrder(ReasonedOrder):
    """Which batch is given up, by whom and why."""

    offset: int = Field(
        ge=0, le=MOST, description="An offset in the batch: `/ready` of the service held there names it."
    )


@router.get("/v1/agents", summary="List the agents")
async def list_agents(parts: PartsDep) -> list[AgentCard]:
    """Every agent that has announced itself, with its tools; plans are made of these."""
    return list((await known_agents(parts.redis)).values())


@router.get("/v1/topics", summary="List the topics")
async def list_topics(parts: PartsDep) -> list[TopicLag]:
    """What each topic holds; of each group its state, its members, and how many messages it has still to finish."""
    prefix = parts.settings.topic_prefix
    groups = groups_by_topic(prefix, await known_agents(parts.redis))
    try:
        async with asyncio.timeout(TIMEOUT):
            return await topics_with_lag(parts.settings, groups)
    except UNANSWERED as away:
        raise unavailable("kafka_unavailable", "Kafka cannot be reached") from away


@router.post(
    "/v1/topics/{topic}/partitions/{partition}/skip",
    status_code=202,
    summary="Skip a batch that cannot be read",
    responses=error_responses(409),
)
async def skip_batch(
    topic: GivenTopic, partition: GivenPartition, order: SkipOrder, parts: PartsDep, caller: CallerDep
) -> BatchSkipped:
    """Give up the records of the batch at the offset: consumers that are held there go on behind it.

    409 when the batch can be read. Kafka keeps its bytes for as long as the topic's retention says.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await unreadable_at(parts.settings, topic, partition, order.offset)
    except UNANSWERED as away:
        raise unavailable("kafka_unavailable", "Kafka cannot be reached") from away
    if found is None:
        message = f"{topic}/{partition} holds nothing at offset {order.offset} that cannot be read"
        raise Refused(409, "readable", message, action="/ready of the service that is held says where")
    skipped = BatchSkipped(
        topic=topic,
        partition=partition,
        first=found.first,
        end=found.end,
        by=caller.acting_name(order.by),
        reason=order.reason,
        at=datetime.now(UTC),
    )
    await deliver(parts, skipped, id=f"skip-{uuid4().hex}", run_id=f"{topic}/{partition}/{found.first}")
    return skipped
