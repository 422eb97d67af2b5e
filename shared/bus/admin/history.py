"""A log from its beginning to its present end, for those who make a view from it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiokafka import ConsumerRecord

from shared.bus.admin.topic_reader import reading
from shared.bus.reader import place
from shared.config import Settings
from shared.errors import LogDamaged

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

Ends: TypeAlias = Callable[[], Awaitable[dict[str, dict[str, int]]]]
"""Asks for the offset after the last record: topic → partition → offset."""

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


async def stream(settings: Settings, topic: str, since: Mapping[str, int] | None = None) -> AsyncIterator[list[Raw]]:
    """As `history`, in batches of about a mebibyte, each of one partition: a log of any length fits into memory.

    `since`: only from these offsets on, by partition. Raises LogDamaged when the log does not reach from there on.
    """
    async with reading(settings, lambda name: name == topic) as past:
        partitions = past.partitions.get(topic, ())
        if since is not None and {str(each.partition) for each in partitions} != since.keys():
            raise LogDamaged(f"{topic} has {len(partitions)} partitions, and had {len(since)}")
        for partition in partitions:
            batch: list[Raw] = []
            held = 0
            first, end = await past.held(partition)
            at = first if since is None else since[str(partition.partition)]
            if not first <= at <= end:
                raise LogDamaged(f"{place(partition)} holds offsets {first} to {end}, and had reached {at}")
            async for record in past.between(partition, at, end):
                batch.append(record)
                held += len(record.value or b"")
                if held >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
                    yield batch
                    batch, held = [], 0
            if batch:
                yield batch


@asynccontextmanager
async def ends(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Ends]:
    """Keep a connection that asks how far these topics have come, each time the function it gives is called."""
    async with reading(settings, lambda name: name in topics) as past:

        async def ask() -> dict[str, dict[str, int]]:
            found = {topic: past.partitions.get(topic, ()) for topic in topics}
            end = await past.consumer.end_offsets([each for partitions in found.values() for each in partitions])
            return {name: {str(each.partition): end[each] for each in found[name]} for name in topics}

        yield ask


async def partition_counts(settings: Settings, topics: tuple[str, ...]) -> dict[str, int]:
    """How many partitions each of these topics has; those that there are not are left out. Raises KafkaError."""
    async with reading(settings, lambda _: False) as past:
        return {topic: len(past.partitions[topic]) for topic in topics if topic in past.partitions}
