"""A log from its beginning to its present end, for those who make a view from it."""

from collections.abc import AsyncIterator
from typing import TypeAlias

from aiokafka import ConsumerRecord

from shared.bus.past import reading
from shared.settings import Settings

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

BATCH_BYTES = 1_048_576
"""Bytes of records that are handed on together; one record may be larger."""

BATCH_RECORDS = 1_000


async def history(settings: Settings, topic: str) -> AsyncIterator[list[Raw]]:
    """The records of the topic, one list for each of its partitions, in their order; what comes meanwhile is left out.

    Every partition is read, or KafkaError is raised: read from a part of a log, something would be done twice.
    Raises LogDamaged when the log becomes shorter meanwhile.
    """
    async with reading(settings, lambda name: name == topic) as past:
        for partition in past.partitions.get(topic, ()):
            yield [record async for record in past.between(partition, *await past.held(partition))]


async def stream(settings: Settings, topic: str) -> AsyncIterator[list[Raw]]:
    """As `history`, in batches of about a mebibyte, each of one partition: a log of any length fits into memory."""
    async with reading(settings, lambda name: name == topic) as past:
        for partition in past.partitions.get(topic, ()):
            batch: list[Raw] = []
            held = 0
            async for record in past.between(partition, *await past.held(partition)):
                batch.append(record)
                held += len(record.value or b"")
                if held >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
                    yield batch
                    batch, held = [], 0
            if batch:
                yield batch


async def partition_counts(settings: Settings, topics: tuple[str, ...]) -> dict[str, int]:
    """How many partitions each of these topics has; those that there are not are left out. Raises KafkaError."""
    async with reading(settings, lambda _: False) as past:
        return {topic: len(past.partitions[topic]) for topic in topics if topic in past.partitions}
