"""Partitions that a consumer group is held at, found without asking its services."""

from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.bus.admin.lag import commits_nothing, committed_offsets
from shared.bus.admin.topic_reader import TopicReader, reading
from shared.bus.held import Unreadable
from shared.bus.outages import mapped
from shared.bus.security import connection
from shared.config import Settings


async def held_groups(settings: Settings, groups: Mapping[str, Sequence[str]]) -> dict[str, Unreadable]:
    """Return group → the record or batch that it cannot pass; `groups` maps topics to groups, both with the prefix.

    Raises KafkaError; set a time limit, because the call waits while the keys of runs are unavailable.
    """
    prefix = settings.topic_prefix
    wanted = {name.removeprefix(prefix): names for name, names in groups.items()}
    wanted = {topic: names for topic, names in wanted.items() if not commits_nothing(settings, topic)}
    found: dict[str, Unreadable] = {}
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        with mapped():
            await admin.start()
        async with reading(settings, wanted.__contains__, whole=True) as reader:
            for topic, names in wanted.items():
                for group in names:
                    reached = await committed_offsets(admin, group, list(reader.partitions.get(topic, ())))
                    for place, offset in reached.items():
                        if (why := await _unreadable(reader, place, offset)) is not None:
                            found.setdefault(group, why)
    finally:
        await admin.close()
    return found


async def _unreadable(reader: TopicReader, place: TopicPartition, committed: int) -> Unreadable | None:
    """Return the error of the record that a group reads next; None if it can be read, or there is none."""
    first, end = await reader.bounds(place)
    at = max(first, committed)
    try:
        async for _ in reader.between(place, at, min(at + 1, end)):
            pass
    except Unreadable as why:
        return why
    return None
