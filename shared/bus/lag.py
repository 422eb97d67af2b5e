"""How much is in each topic, and how far behind its consumers are."""

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import BaseModel

from shared.settings import Settings

ORCHESTRATED = ("tasks", "runs", "control", "decisions")
"""What the orchestrator consumes."""


class GroupLag(BaseModel):
    """How many messages of a topic a group has not finished."""

    group: str
    lag: int


class TopicState(BaseModel):
    """One topic."""

    topic: str
    partitions: int
    messages: int
    groups: list[GroupLag]


async def topic_states(settings: Settings, agents: Iterable[str]) -> list[TopicState]:
    """The topics that begin with our prefix. Raises KafkaError when Kafka is away."""
    prefix = settings.topic_prefix
    groups = {prefix + topic: prefix + "orchestrator" for topic in ORCHESTRATED}
    groups |= {f"{prefix}agents.{agent}": prefix + agent for agent in agents}
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka.split(",")) as consumer:
        names = sorted(name for name in await consumer.topics() if name.startswith(prefix))
        partitions = [TopicPartition(n, p) for n in names for p in consumer.partitions_for_topic(n) or ()]
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    done = await _committed(
        settings, {groups[p.topic]: [] for p in partitions if p.topic in groups}, partitions, groups
    )
    return [_state(name, [p for p in partitions if p.topic == name], begins, ends, done, groups) for name in names]


async def _committed(
    settings: Settings,
    wanted: dict[str, list[TopicPartition]],
    partitions: list[TopicPartition],
    groups: dict[str, str],
) -> dict[TopicPartition, int]:
    """What each topic's group has committed; a group that never did counts from the beginning."""
    found: dict[TopicPartition, int] = {}
    for group in wanted:
        async with AIOKafkaConsumer(bootstrap_servers=settings.kafka.split(","), group_id=group) as consumer:
            for partition in partitions:
                if groups.get(partition.topic) == group:
                    found[partition] = await consumer.committed(partition) or 0
    return found


def _state(
    name: str,
    partitions: list[TopicPartition],
    begins: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    done: dict[TopicPartition, int],
    groups: dict[str, str],
) -> TopicState:
    lag = sum(ends[p] - max(done.get(p, 0), begins[p]) for p in partitions)
    return TopicState(
        topic=name,
        partitions=len(partitions),
        messages=sum(ends[p] - begins[p] for p in partitions),
        groups=[GroupLag(group=groups[name], lag=lag)] if name in groups else [],
    )
