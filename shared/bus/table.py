"""In-memory table of compacted topics, read from their beginning on every assignment."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from shared.bus.broker import subscribe
from shared.bus.held import Held
from shared.config import Settings
from shared.telemetry.logs import SELDOM

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

RETRY_AFTER = 1.0
"""Seconds before end offsets are requested again after a failure."""

LOOK_EVERY = 0.1
"""Seconds between checks of reading progress during loading."""

log = structlog.get_logger()


class Table(Protocol):
    """Receiver of records. Partitions are added and dropped as a whole."""

    def put(self, place: TopicPartition, key: str, record: Raw) -> None:
        """Set the key's record. An empty value requests that the key be erased."""

    def clear(self, place: TopicPartition, key: str) -> None:
        """Remove the key."""

    def complete(self, place: TopicPartition) -> None:
        """Mark the partition as loaded: everything up to the end at assignment was put; later records are new."""

    def drop(self, place: TopicPartition) -> None:
        """Drop the partition: another consumer owns it, or it is about to be reloaded."""


class TableConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds a table from every topic that matches `pattern`, including topics created later.

    Nothing is committed: each member reads its partitions from the beginning. The group only distributes partitions
    among replicas.
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
        """Partitions held at an unreadable batch."""
        reader = self.reader()
        return reader.held if reader is not None else {}

    @property
    def loading(self) -> bool:
        """True until every partition is read up to its end at assignment."""
        return bool(self._loading) or self._rebalancing

    def close(self) -> None:
        """Stop requesting offsets."""
        if self._asking is not None:
            self._asking.cancel()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Drop the partitions."""
        self._rebalancing = True
        self.close()
        for each in revoked:
            self._forget(each)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start loading and request the end offsets. Records already arrive meanwhile."""
        self.close()
        partitions = list(assigned)
        for each in partitions:
            self._forget(each)
            self._loading.add(each)
        self._rebalancing = False
        self._asking = asyncio.create_task(self._ask(partitions))

    async def _ask(self, partitions: list[TopicPartition]) -> None:
        """Request the extent of the partitions, retrying for as long as it takes; the group must not wait for it."""
        while (consumer := self.reader()) is not None:
            try:
                begins = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
            except KafkaError as error:
                log.warning("table_extent_unknown", topic=self._pattern, error=repr(error), **SELDOM)
                await asyncio.sleep(RETRY_AFTER)
                continue
            for each in partitions:
                self._ends[each] = ends[each] if begins[each] < ends[each] else 0
                self._look(each)
            await self._pass(partitions)
            return

    async def _pass(self, partitions: list[TopicPartition]) -> None:
        """Count offsets without records as read, such as a transaction's end marker, until all is read."""
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
        """Complete the partition once it is read up to its end at assignment."""
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
