"""A table kept in memory from a compacted topic: read from its beginning whenever partitions are assigned."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from shared.bus.broker import ending_if_broken, subscribe
from shared.bus.outages import mapped
from shared.bus.security import connection
from shared.settings import Settings

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

AGAIN_AFTER = 1.0
"""Seconds before Kafka is asked again how much there is to read, when it did not say."""

log = structlog.get_logger()


class Table(Protocol):
    """What is fed. Partitions come and go whole."""

    def put(self, partition: int, key: str, record: Raw) -> None:
        """The key has this record now."""

    def clear(self, partition: int, key: str) -> None:
        """The key has none any more."""

    def complete(self, partition: int) -> None:
        """Everything that was there at the assignment has been put: from here on it is news."""

    def drop(self, partition: int) -> None:
        """The partition is somebody else's now, or begins anew."""


class TableConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds a table. Nothing is ever committed, so whoever is assigned a partition begins at its beginning.

    The group only shares the partitions among replicas.
    """

    def __init__(self, broker: KafkaBroker, topic: str, group: str, table: Table, settings: Settings) -> None:
        self._topic = topic
        self._table = table
        self._loading: set[int] = set()
        self._ends: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._rebalancing = True  # until the first assignment
        self._asking: asyncio.Task[None] | None = None
        self._consumer = subscribe(broker, [topic], group, self._take, settings=settings, listener=self)

    @property
    def loading(self) -> bool:
        """Whether some partition has not been read to where it ended when it was assigned."""
        return bool(self._loading) or self._rebalancing

    def close(self) -> None:
        """Ask Kafka nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget them."""
        self._rebalancing = True
        self.close()
        for each in revoked:
            self._forget(each.partition)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin anew, and find out how much there is to read. Records come already while that is asked."""
        self.close()
        partitions = list(assigned)
        for each in partitions:
            self._forget(each.partition)
            self._loading.add(each.partition)
        self._rebalancing = False
        self._asking = asyncio.create_task(self._ask(partitions))

    async def _ask(self, partitions: list[TopicPartition]) -> None:
        """Find out how much there is to read, however long Kafka does not say it: the group must not wait for that."""
        while (consumer := self._consumer()) is not None:
            try:
                begins = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
            except KafkaError as away:
                log.warning("how much there is to read is asked again", topic=self._topic, error=repr(away))
                await asyncio.sleep(AGAIN_AFTER)
                continue
            for each in partitions:
                self._ends[each.partition] = ends[each] if begins[each] < ends[each] else 0
                self._look(each.partition)
            return

    async def _take(self, records: Sequence[Raw]) -> None:
        if self._rebalancing:
            return
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if record.value:
                self._table.put(record.partition, key, record)
            else:
                self._table.clear(record.partition, key)
            self._reached[record.partition] = record.offset + 1
            self._look(record.partition)

    def _look(self, partition: int) -> None:
        """Whether everything has been read that there was."""
        end = self._ends.get(partition)
        if partition in self._loading and end is not None and self._reached.get(partition, 0) >= end:
            self._loading.remove(partition)
            self._table.complete(partition)

    def _forget(self, partition: int) -> None:
        self._loading.discard(partition)
        self._ends.pop(partition, None)
        self._reached.pop(partition, None)
        self._table.drop(partition)


class Eraser:
    """Takes keys out of a compacted topic, with records that have no value: FastStream cannot publish those."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._connection = connection(settings)
        self._producer: AIOKafkaProducer | None = None

    async def erase(self, keys: Iterable[tuple[int | None, str]]) -> None:
        """Take out (partition, or None for the key's own; key) and return when Kafka has acknowledged it.

        Raises KafkaError.
        """
        with ending_if_broken():
            sent = [await self._open.send(self._topic, key=key.encode(), partition=number) for number, key in keys]
            await asyncio.gather(*sent)

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        self._producer = AIOKafkaProducer(**self._connection, acks="all", enable_idempotence=True)
        with mapped():
            await self._producer.start()

    @property
    def _open(self) -> AIOKafkaProducer:
        assert self._producer is not None, "an eraser is started before it is used"
        return self._producer

    async def close(self) -> None:
        """Give the connection back."""
        if self._producer is not None:
            await self._producer.stop()
