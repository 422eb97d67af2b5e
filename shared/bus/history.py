"""A log from its beginning to its present end, for those who make a view from it."""

from collections.abc import AsyncIterator
from typing import TypeAlias

from aiokafka import ConsumerRecord

from shared.bus.past import reading
from shared.settings import Settings

Raw: TypeAlias = ConsumerRecord[bytes, bytes]


async def history(settings: Settings, topic: str) -> AsyncIterator[list[Raw]]:
    """The records of the topic, one list for each of its partitions, in their order; what comes meanwhile is left out.

    Every partition is read, or KafkaError is raised: read from a part of a log, something would be done twice.
    """
    async with reading(settings, lambda name: name == topic) as past:
        for partition in past.partitions.get(topic, ()):
            yield [record async for record in past.between(partition, *await past.held(partition))]
