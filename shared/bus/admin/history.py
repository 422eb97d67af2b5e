"""Reading of a topic from its beginning to its current end, to build a view from it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiokafka import ConsumerRecord

from shared.bus.admin.topic_reader import reading
from shared.bus.held import partition_name
from shared.config import Settings
from shared.errors import LogDamaged

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

Ends: TypeAlias = Callable[[], Awaitable[dict[str, dict[str, int]]]]
"""Returns the offset after the last record: topic → partition → offset."""

BATCH_BYTES = 1_048_576
"""Bytes of records per batch; a single record may be larger."""

BATCH_RECORDS = 1_000


async def read_topic(settings: Settings, topic: str) -> AsyncIterator[list[Raw]]:
    """Yield the records of the topic, one ordered list per partition, up to the ends at the start of the call.

    Every partition is read, or KafkaError is raised: with part of a log, work would be done twice. Records of forgotten
    runs are left out; one whose key is missing raises Unreadable.
    Raises LogDamaged if the log becomes shorter meanwhile.
    """
    async with reading(settings, lambda name: name == topic, whole=True) as reader:
        for partition in reader.partitions.get(topic, ()):
            yield [record async for record in reader.between(partition, *await reader.bounds(partition))]


async def stream(
    settings: Settings, topic: str, since: Mapping[str, int] | None = None, *, whole: bool = True
) -> AsyncIterator[list[Raw]]:
    """Like `read_topic`, in batches of about a mebibyte, each of one partition: a log of any length fits into memory.

    `since`: start offset of each partition. Raises LogDamaged if the log does not contain it. Unless it is to be read
    `whole`, records whose keys are missing are returned sealed.
    """
    async with reading(settings, lambda name: name == topic, whole=whole) as reader:
        partitions = reader.partitions.get(topic, ())
        if since is not None and {str(each.partition) for each in partitions} != since.keys():
            raise LogDamaged(f"{topic} has {len(partitions)} partitions, and had {len(since)}")
        for partition in partitions:
            batch: list[Raw] = []
            size = 0
            first, end = await reader.bounds(partition)
            at = first if since is None else since[str(partition.partition)]
            if not first <= at <= end:
                raise LogDamaged(f"{partition_name(partition)} holds offsets {first} to {end}, and had reached {at}")
            async for record in reader.between(partition, at, end):
                batch.append(record)
                size += len(record.value or b"")
                if size >= BATCH_BYTES or len(batch) >= BATCH_RECORDS:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch


@asynccontextmanager
async def ends(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Ends]:
    """Open a connection and yield a function that returns the current end offsets of these topics."""
    async with reading(settings, lambda name: name in topics) as reader:

        async def ask() -> dict[str, dict[str, int]]:
            found = {topic: reader.partitions.get(topic, ()) for topic in topics}
            end = await reader.consumer.end_offsets([each for partitions in found.values() for each in partitions])
            return {name: {str(each.partition): end[each] for each in found[name]} for name in topics}

        yield ask


async def partition_counts(settings: Settings, topics: tuple[str, ...]) -> dict[str, int]:
    """Return the number of partitions of each topic, leaving out topics that do not exist. Raises KafkaError."""
    async with reading(settings, lambda _: False) as reader:
        return {topic: len(reader.partitions[topic]) for topic in topics if topic in reader.partitions}
