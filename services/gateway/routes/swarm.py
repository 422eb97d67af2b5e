"""Routes about the swarm: its agents, and its topics with their lag."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path

from schemas.api.agents import AgentView
from schemas.api.commands import SkipRequest
from schemas.api.topics import TopicLag
from schemas.health import AgentHealth
from schemas.message import MOST
from schemas.plan import AgentCard
from schemas.skip import BatchSkipped
from services.gateway.dependencies import CallerDep, PartsDep
from services.gateway.errors import Refused, error_responses, kafka_within
from services.gateway.publishing import deliver
from shared.blackboard import known_agents, reports_of_agents
from shared.blackboard.agents import is_silent, seconds_since_seen
from shared.bus.admin import topics_with_lag, unreadable_at
from shared.bus.groups import groups_by_topic

TIMEOUT = 9.0
"""Seconds for Kafka to answer."""

GivenTopic = Annotated[str, Path(max_length=249, description="The topic, without the prefix.")]
GivenPartition = Annotated[int, Path(ge=0, le=MOST)]

router = APIRouter(tags=["swarm"], responses=error_responses())


@router.get("/v1/agents", summary="List the agents")
async def list_agents(parts: PartsDep) -> list[AgentView]:
    """Agents that have announced themselves, with their tools, and their replicas' reports of MCP servers and models.

    Names, descriptions and schemas of tools with a `source` are those of a server outside Waggle: untrusted text.
    """
    cards, reports = await asyncio.gather(known_agents(parts.redis), reports_of_agents(parts.redis))
    since = await seconds_since_seen(parts.redis, cards)
    return [_view(card, reports.get(name, []), since[name]) for name, card in cards.items()]


def _view(card: AgentCard, replicas: list[AgentHealth], seconds: float | None) -> AgentView:
    seen = None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)
    return AgentView(**dict(card), replicas=replicas, seen=seen, running=not is_silent(seconds))


@router.get("/v1/topics", summary="List the topics")
async def list_topics(parts: PartsDep) -> list[TopicLag]:
    """Size of each topic; for each consumer group its state, members and lag."""
    prefix = parts.settings.topic_prefix
    groups = groups_by_topic(prefix, await known_agents(parts.redis))
    async with kafka_within(TIMEOUT):
        return await topics_with_lag(parts.settings, groups)


@router.post(
    "/v1/topics/{topic}/partitions/{partition}/skip",
    status_code=202,
    summary="Skip an unreadable batch",
    responses=error_responses(409),
)
async def skip_batch(
    topic: GivenTopic, partition: GivenPartition, order: SkipRequest, parts: PartsDep, caller: CallerDep
) -> BatchSkipped:
    """Skip the records of the batch at the offset: consumers held there continue behind it.

    409 if the batch is readable. Kafka keeps its bytes as long as the topic's retention allows.
    """
    async with kafka_within(TIMEOUT):
        found = await unreadable_at(parts.settings, topic, partition, order.offset)
    if found is None:
        message = f"{topic}/{partition} has no unreadable batch at offset {order.offset}"
        raise Refused(409, "readable", message, action="GET /ready of the held service: it names the offset")
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
