"""How much each topic holds, and how far the groups that consume it have come."""

import asyncio
import re
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.message import Part
from shared.bus.admin.topic_reader import Partitions, partitions_of
from shared.bus.groups import states_of, tables
from shared.bus.outages import mapped
from shared.bus.reader import Reader
from shared.bus.security import connection
from shared.config import Settings

Offsets = Mapping[TopicPartition, int]

_BACKOFF_MS = 10
"""The consumer learns of topics one by one and rests between them; its default of 100 ms would add up."""


_PAUSE = 0.1
"""Seconds between tries."""


class GroupLag(Part):
    """A consumer group of a topic."""

    group: str
    lag: int | None
    """Messages that it has not committed; None for a group that commits nothing."""
    members: int | None = None
    """Services in it; None when the broker cannot tell."""
    state: str | None = None
    """As Kafka names it: `Stable`, `PreparingRebalance`, `Empty`, `Dead`; None when the broker cannot tell."""


class TopicLag(Part):
    """A topic, its names with the prefix."""

    topic: str
    partitions: int
    messages: int
    """Messages Kafka still holds."""
    written: int
    """Messages ever written to it: twice asked for, it gives the rate."""
    groups: list[GroupLag]


async def topics_with_lag(settings: Settings, groups: Mapping[str, Sequence[str]]) -> list[TopicLag]:
    """Every topic whose name begins with the prefix; `groups` says which groups consume which topic.

    Groups are looked up by name, for a broker need not be able to list them. Raises KafkaError when Kafka is away; give
    it a time limit, for it waits while Kafka says that it is about to be ready.
    """
    prefix = settings.topic_prefix
    whole = re.compile(tables(prefix)).match
    admin = AIOKafkaAdminClient(**connection(settings))
    consumer = Reader(**connection(settings), retry_backoff_ms=_BACKOFF_MS)
    try:
        with mapped():
            await admin.start()
            await consumer.start()
        found = await partitions_of(admin, prefix)
        states = await states_of(admin, sorted({name for names in groups.values() for name in names}))
        everything = [partition for partitions in found.values() for partition in partitions]
        first, end = await consumer.beginning_offsets(everything), await consumer.end_offsets(everything)
        return [
            TopicLag(
                topic=topic,
                partitions=len(partitions),
                messages=_between(first, end, partitions),
                written=sum(end[each] for each in partitions),
                groups=[
                    GroupLag(
                        group=group,
                        lag=None if whole(topic) else await _lag(admin, group, partitions, first, end),
                        members=states[group].members if group in states else None,
                        state=states[group].state if group in states else None,
                    )
                    for group in groups.get(topic, ())
                ],
            )
            for topic, partitions in sorted(found.items())
        ]
    finally:
        await consumer.stop()
        await admin.close()


async def _lag(admin: AIOKafkaAdminClient, group: str, partitions: Partitions, first: Offsets, end: Offsets) -> int:
    """What lies behind the committed offsets; all there is for a group that has committed nothing."""
    committed = await _committed(admin, group, partitions)
    reached = {each: max(committed.get(each, 0), first[each]) for each in partitions}
    return _between(reached, end, partitions)


async def _committed(admin: AIOKafkaAdminClient, group: str, partitions: Partitions) -> Offsets:
    """The group's offsets, -1 where there is none. A Kafka that has just started has no coordinator for a moment."""
    while True:
        try:
            found = await admin.list_consumer_group_offsets(group, partitions=partitions)
        except KafkaError as refused:
            if not refused.retriable:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return {partition: committed.offset for partition, committed in found.items()}


def _between(low: Offsets, high: Offsets, partitions: Partitions) -> int:
    return sum(max(0, high[each] - low[each]) for each in partitions)
