"""A topic from its beginning to its present end, for those who make a view from a log."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoError, UnknownTopicOrPartitionError, for_code

from shared.bus.broker import LARGEST_RECORD

AGAIN_AFTER = 0.1
"""Seconds between questions to a Kafka that has no leader for a partition yet."""

Raw: TypeAlias = ConsumerRecord[bytes, bytes]


async def history(bootstrap: str, topic: str, *, last: int | None = None) -> AsyncIterator[list[Raw]]:
    """The records of the topic, one list for each partition, in their order; what comes meanwhile is left out.

    `last`: only so many of the newest offsets of each partition. Raises KafkaError when Kafka is away.
    """
    partitions = await _partitions(bootstrap, topic)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # as the seek below: whichever of the two comes last
        max_partition_fetch_bytes=LARGEST_RECORD,
        fetch_max_wait_ms=50,
    ) as consumer:
        for partition in partitions:
            yield await _read(consumer, partition, last)


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    """All of them, asked for by name until Kafka knows: read from a part of a log, something would be done twice.

    Empty only for a topic that does not exist.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    await admin.start()
    try:
        while True:
            (found,) = await admin.describe_topics([topic])
            error = for_code(found["error_code"])
            if error is UnknownTopicOrPartitionError:
                return []
            if error is NoError and all(each["leader"] >= 0 for each in found["partitions"]):
                return sorted(TopicPartition(topic, each["partition"]) for each in found["partitions"])
            if not error.retriable and error is not NoError:
                raise error
            await asyncio.sleep(AGAIN_AFTER)
    finally:
        await admin.close()


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
