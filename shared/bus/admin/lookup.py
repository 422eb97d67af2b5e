"""Lookup of single records by partition and offset."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from shared.bus.outages import mapped
from shared.bus.security import connection
from shared.config import Settings

FETCHED = 65_536
"""Bytes per fetch; Kafka sends a larger record whole."""

_LONGEST_WAIT_MS = 10
"""Longest wait of an empty fetch: the next record is requested behind the fetch that follows the last one."""

WITHIN = 5.0
"""Seconds allowed for reading one record."""


class Lookup:
    """Reads one record at a time. Connects on first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def value(self, place: TopicPartition, offset: int, key: str) -> bytes | None:
        """Return the record's value; None if it is gone or has another key. Raises KafkaError."""
        async with self._turn:
            with mapped():
                consumer = await self._connected()
                consumer.assign([place])
                consumer.seek(place, offset)
                async with asyncio.timeout(WITHIN):
                    record = await _one(consumer, place)
                consumer.pause(place)
        if record is None:
            return None
        return record.value if (record.offset, record.key) == (offset, key.encode()) else None

    async def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **connection(self._settings),
                group_id=None,
                auto_offset_reset="none",
                fetch_max_wait_ms=_LONGEST_WAIT_MS,
                max_partition_fetch_bytes=FETCHED,
            )
            await consumer.start()
            self._consumer = consumer
        return self._consumer


async def _one(consumer: AIOKafkaConsumer, place: TopicPartition) -> ConsumerRecord[bytes, bytes] | None:
    """Return the record at the consumer's position; None if the log does not contain it."""
    try:
        return await consumer.getone(place)
    except OffsetOutOfRangeError:
        return None
