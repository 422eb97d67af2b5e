"""Size of each topic and lag of its consumer groups."""

import asyncio
import re
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.api.topics import GroupLag, TopicLag
from shared.bus.admin.topic_reader import Partitions, partitions_of
from shared.bus.groups import states_of, tables
from shared.bus.outages import mapped
from shared.bus.reader import Reader
from shared.bus.security import connection
from shared.config import Settings

Offsets = Mapping[TopicPartition, int]

_BACKOFF_MS = 10
"""Pause of the consumer between topics it discovers one by one; its default of 100 ms would add up."""


_PAUSE = 0.1
"""Seconds between attempts."""


async def topics_with_lag(settings: Settings, groups: Mapping[str, Sequence[str]]) -> list[TopicLag]:
    """Return every topic whose name begins with the prefix; `groups` maps topics to their consumer groups.

    Groups are looked up by name, as not every broker can list them. Raises KafkaError if Kafka is unavailable; set a
    time limit, because the call waits while Kafka reports that it is starting.
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


def commits_nothing(settings: Settings, topic: str) -> bool:
    """Return True for a topic, named without the prefix, that its group reads as a whole without committing."""
    return re.match(tables(settings.topic_prefix), settings.topic_prefix + topic) is not None


async def _lag(admin: AIOKafkaAdminClient, group: str, partitions: Partitions, first: Offsets, end: Offsets) -> int:
    """Return the messages after the committed offsets; all messages for a group that has committed nothing."""
    committed = await committed_offsets(admin, group, partitions)
    reached = {each: max(committed.get(each, 0), first[each]) for each in partitions}
    return _between(reached, end, partitions)


async def committed_offsets(admin: AIOKafkaAdminClient, group: str, partitions: Partitions) -> Offsets:
    """Return the group's offsets, -1 where there is none; retries while a starting Kafka has no coordinator yet."""
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
