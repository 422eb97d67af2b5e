"""A topic from its beginning to its present end, for those who make a view from a log."""

from collections.abc import AsyncIterator
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.bus.broker import LARGEST_RECORD

Raw: TypeAlias = ConsumerRecord[bytes, bytes]


async def history(bootstrap: str, topic: str, *, last: int | None = None) -> AsyncIterator[list[Raw]]:
    """The records of the topic, one list for each partition, in their order; what comes meanwhile is left out.

    `last`: only so many of the newest offsets of each partition. Raises KafkaError when Kafka is away.
    """
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap.split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # as the seek below: whichever of the two comes last
        max_partition_fetch_bytes=LARGEST_RECORD,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        consumer.unsubscribe()
        for partition in partitions:
            yield await _read(consumer, partition, last)
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, partition: TopicPartition, last: int | None) -> list[Raw]:
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    first = (await consumer.beginning_offsets([partition]))[partition]
    consumer.seek(partition, first if last is None else max(first, end - last))
    found: list[Raw] = []
    while await consumer.position(partition) < end:
        batch = await consumer.getmany(partition, timeout_ms=1_000)
        found += [record for records in batch.values() for record in records if record.offset < end]
    return found
