"""A topic from its beginning to its present end, for those who make a view from a log."""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.bus.broker import LARGEST_RECORD


async def history(bootstrap: str, topic: str) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
    """All records of the topic, one list for each partition, in their order; what comes meanwhile is left out.

    Raises KafkaError when Kafka is away.
    """
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap.split(","),
        enable_auto_commit=False,
        max_partition_fetch_bytes=LARGEST_RECORD,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        consumer.unsubscribe()
        for partition in partitions:
            yield await _whole(consumer, partition)
    finally:
        await consumer.stop()


async def _whole(consumer: AIOKafkaConsumer, partition: TopicPartition) -> list[ConsumerRecord[bytes, bytes]]:
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.seek_to_beginning(partition)
    found: list[ConsumerRecord[bytes, bytes]] = []
    while await consumer.position(partition) < end:
        batch = await consumer.getmany(partition, timeout_ms=1_000)
        found += [record for records in batch.values() for record in records if record.offset < end]
    return found
