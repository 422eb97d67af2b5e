"""A look at one topic: its partitions with the lag of each group, and a few of its records. Commits nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from schemas.api.topics import PartitionLag
from shared.bus.admin.lag import committed_offsets
from shared.bus.admin.topic_reader import reading
from shared.bus.outages import mapped
from shared.bus.security import connection
from shared.config import Settings


async def partitions_with_lag(settings: Settings, topic: str, groups: Sequence[str]) -> list[PartitionLag] | None:
    """Return the partitions of a topic, named without the prefix; None if there is no such topic.

    Raises KafkaError; set a time limit.
    """
    async with reading(settings, lambda name: name == topic) as reader:
        partitions = reader.partitions.get(topic)
        if partitions is None:
            return None
        bounds = {each: await reader.bounds(each) for each in partitions}
    reached = await _reached(settings, groups, list(bounds))
    return [
        PartitionLag(
            partition=each.partition,
            first=first,
            end=end,
            lag={group: max(0, end - max(first, offsets.get(each, 0))) for group, offsets in reached.items()},
        )
        for each, (first, end) in sorted(bounds.items())
    ]


async def _reached(settings: Settings, groups: Sequence[str], partitions: list[Any]) -> Mapping[str, Mapping[Any, int]]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        with mapped():
            await admin.start()
        return {group: await committed_offsets(admin, group, partitions) for group in groups}
    finally:
        await admin.close()


async def newest_records(
    settings: Settings, topic: str, partition: int, before: int | None, limit: int
) -> list[Any] | None:
    """Return at most `limit` records of a partition before an offset, by default its newest ones, the newest first.

    None if there is no such partition. Raises KafkaError and Unreadable; set a time limit.
    """
    async with reading(settings, lambda name: name == topic) as reader:
        for each in reader.partitions.get(topic, ()):
            if each.partition == partition:
                first, end = await reader.bounds(each)
                end = end if before is None else min(before, end)
                found = [record async for record in reader.between(each, max(first, end - limit), end)]
                return found[::-1]
    return None
