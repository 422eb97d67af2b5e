"""A table kept in memory from compacted topics: read from their beginning whenever partitions are assigned."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from shared.bus.broker import ending_if_broken, subscribe
from shared.bus.outages import mapped
from shared.bus.reader import Held
from shared.bus.security import connection
from shared.config import Settings
from shared.telemetry.logs import SELDOM

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

AGAIN_AFTER = 1.0
"""Seconds before Kafka is asked again how much there is to read, when it did not say."""

LOOK_EVERY = 0.1
"""Seconds between looks at how far has been read, until everything is."""

log = structlog.get_logger()


class Table(Protocol):
    """What is fed. Partitions come and go whole."""

    def put(self, place: TopicPartition, key: str, record: Raw) -> None:
        """The key has this record now. One with an empty value asks for the key to be erased."""

    def clear(self, place: TopicPartition, key: str) -> None:
        """The key has none any more."""

    def complete(self, place: TopicPartition) -> None:
        """Everything that was there at the assignment has been put: from here on it is news."""

    def drop(self, place: TopicPartition) -> None:
        """The partition is somebody else's now, or begins anew."""


class TableConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds a table from every topic that matches `pattern`, also from those that are created later.

    Nothing is ever committed: a partition is read from its beginning by each member that is assigned it. The group only
    shares the partitions among replicas.
    """

    def __init__(self, broker: KafkaBroker, pattern: str, group: str, table: Table, settings: Settings) -> None:
        self._pattern = pattern
        self._table = table
        self._loading: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._rebalancing = True  # until the first assignment
        self._asking: asyncio.Task[None] | None = None
        self.reader = subscribe(broker, [], group, self._take, settings=settings, listener=self, pattern=pattern)

    @property
    def held(self) -> Mapping[TopicPartition, Held]:
        """The partitions that wait at a batch which cannot be read."""
        reader = self.reader()
        return reader.held if reader is not None else {}

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
            self._forget(each)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin anew, and find out how much there is to read. Records come already while that is asked."""
        self.close()
        partitions = list(assigned)
        for each in partitions:
            self._forget(each)
            self._loading.add(each)
        self._rebalancing = False
        self._asking = asyncio.create_task(self._ask(partitions))

    async def _ask(self, partitions: list[TopicPartition]) -> None:
        """Find out how much there is to read, however long Kafka does not say it: the group must not wait for that."""
        while (consumer := self.reader()) is not None:
            try:
                begins = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
            except KafkaError as away:
                log.warning("table_extent_unknown", topic=self._pattern, error=repr(away), **SELDOM)
                await asyncio.sleep(AGAIN_AFTER)
                continue
            for each in partitions:
                self._ends[each] = ends[each] if begins[each] < ends[each] else 0
                self._look(each)
            await self._pass(partitions)
            return

    async def _pass(self, partitions: list[TopicPartition]) -> None:
        """Count as read what holds no records, such as a transaction's marker at the end, until all is read."""
        while self._loading and (consumer := self.reader()) is not None:
            for each in partitions:
                passed = consumer.passed.get(each, 0)
                self._reached[each] = max(passed, self._reached.get(each, 0))
                self._look(each)
            await asyncio.sleep(LOOK_EVERY)

    async def _take(self, records: Sequence[Raw]) -> None:
        if self._rebalancing:
            return
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                self._table.clear(place, key)
            else:
                self._table.put(place, key, record)
            self._reached[place] = record.offset + 1
            self._look(place)

    def _look(self, place: TopicPartition) -> None:
        """Notice that everything has been read that there was."""
        end = self._ends.get(place)
        if place in self._loading and end is not None and self._reached.get(place, 0) >= end:
            self._loading.remove(place)
            self._table.complete(place)

    def _forget(self, place: TopicPartition) -> None:
        if (reader := self.reader()) is not None:
            reader.forget(place)
        self._loading.discard(place)
        self._ends.pop(place, None)
        self._reached.pop(place, None)
        self._table.drop(place)


class Erased(NamedTuple):
    """A key to take out of a compacted topic."""

    topic: str
    key: str
    partition: int | None = None
    """None: the key's own."""


class Eraser:
    """Takes keys out of compacted topics, with records that have no value: FastStream cannot publish those."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connection(settings)
        self._producer: AIOKafkaProducer | None = None

    async def erase(self, keys: Iterable[Erased]) -> None:
        """Take keys out and return when Kafka has acknowledged it. Raises KafkaError."""
        with ending_if_broken():
            sent = [await self._open.send(each.topic, key=each.key.encode(), partition=each.partition) for each in keys]
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
