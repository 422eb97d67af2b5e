"""Reading of topics without a consumer group: commits nothing and does not disturb other consumers."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.skip import BatchSkipped
from shared.bus.broker import LARGEST_RECORD
from shared.bus.held import Held, Unreadable
from shared.bus.keyring import Keyring
from shared.bus.outages import mapped
from shared.bus.reader import Reader
from shared.bus.record import decode
from shared.bus.security import connection
from shared.config import Settings
from shared.errors import InvalidMessage, LogDamaged

SKIPS = "skips"
"""Compacted topic of the batches skipped by operators."""

STALLED = 10.0
"""Seconds without a record before checking whether the log has become shorter."""

Partitions = Sequence[TopicPartition]

_BACKOFF_MS = 10
"""Pause of the consumer between attempts to find a leader, and Kafka's wait on an empty fetch: the defaults of 100 and
500 ms would add up over partitions."""

_WAIT_MS = 200
"""Milliseconds one fetch may wait before the position is checked again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TopicReader:
    """Reads one range at a time. Calls wait while Kafka is unavailable: set a time limit."""

    prefix: str
    consumer: Reader
    partitions: Mapping[str, Partitions]
    """Partitions of every topic, named without the prefix."""

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first retained offset and the next offset to be written."""
        first = await self.consumer.beginning_offsets([partition])
        end = await self.consumer.end_offsets([partition])
        return first[partition], end[partition]

    async def from_time(self, partition: TopicPartition, at: datetime) -> int | None:
        """Return the first offset at or after the time; None if there is none or the broker keeps no timestamps."""
        found = await self.consumer.offsets_for_times({partition: max(0, int(at.timestamp() * 1000))})
        return found[partition].offset if found.get(partition) else None

    async def between(self, partition: TopicPartition, first: int, end: int) -> AsyncIterator[Any]:
        """Yield the records from `first` up to, but not including, `end`. Exhaust it before starting another range.

        Skipped batches are left out. Raises Unreadable for other unreadable ones, and LogDamaged if the log ends
        before `end`: records have been lost.
        """
        if first >= end:
            return
        self.consumer.seek(partition, first)
        self.consumer.resume(partition)
        last_record = time.monotonic()
        while await self.consumer.position(partition) < end:
            found = await self.consumer.getmany(partition, timeout_ms=_WAIT_MS)
            if found:
                last_record = time.monotonic()
            elif time.monotonic() - last_record > STALLED and (await self.bounds(partition))[1] < end:
                raise shortened(partition, end)
            for record in found.get(partition, ()):
                if record.offset < end:
                    yield record
            if held := self.consumer.held.get(partition):
                self.consumer.release(partition, await self._skip_end(partition, held))
        self.consumer.pause(partition)

    async def skipped(self) -> list[BatchSkipped]:
        """Return every batch skipped by operators."""
        found = list[BatchSkipped]()
        for partition in self.partitions.get(SKIPS, ()):
            async for record in self.between(partition, *await self.bounds(partition)):
                try:
                    message = decode(record, self.prefix).message
                except InvalidMessage as wrong:
                    log.warning("skip_unreadable", offset=record.offset, error=str(wrong))
                    continue
                if isinstance(message, BatchSkipped):
                    found.append(message)
        return found

    async def _skip_end(self, partition: TopicPartition, held: Held) -> int:
        """Return the offset after an unreadable batch. Raises Unreadable unless an operator has skipped it."""
        if partition.topic != self.prefix + SKIPS:
            for order in await self.skipped():
                if covers(order, partition, held, self.prefix):
                    return order.end
        raise Unreadable(partition, held)


def shortened(partition: TopicPartition, end: int) -> LogDamaged:
    """Return the error of a log that has lost its last records."""
    return LogDamaged(
        f"{partition.topic}/{partition.partition} ends before offset {end}, which it had reached: Kafka has lost "
        "records of it (an unclean leader election, or a recreated topic); restore the topic, then rebuild"
    )


@asynccontextmanager
async def reading(
    settings: Settings, wanted: Callable[[str], bool], *, whole: bool = False
) -> AsyncIterator[TopicReader]:
    """Open a reader of the installation's topics for which `wanted` is true, called with names without the prefix.

    All are assigned at once, and fetched only while a range is read: assigning one after the other is ten times
    slower. Raises KafkaError if Kafka is unavailable. `whole`: a record whose key is missing counts as unreadable;
    otherwise it is returned sealed.
    """
    admin, keyring = AIOKafkaAdminClient(**connection(settings)), Keyring(settings)
    consumer = Reader(
        keyring=keyring,
        whole=whole,
        **connection(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=_BACKOFF_MS,
        max_partition_fetch_bytes=LARGEST_RECORD,
        retry_backoff_ms=_BACKOFF_MS,
    )
    prefix = settings.topic_prefix
    try:
        with mapped():
            await admin.start()
            await consumer.start()
        found = await partitions_of(admin, prefix)
        names = {name for name in found if name == prefix + SKIPS or wanted(name.removeprefix(prefix))}
        read = [partition for name in names for partition in found[name]]
        consumer.assign(read)
        consumer.pause(*read)
        yield TopicReader(prefix, consumer, {topic.removeprefix(prefix): each for topic, each in found.items()})
    finally:
        await consumer.stop()
        await admin.close()
        await keyring.close()


async def partitions_of(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, Partitions]:
    """Return the partitions of every topic whose name begins with the prefix."""
    described = await admin.describe_topics()
    return {
        each["topic"]: [TopicPartition(each["topic"], part["partition"]) for part in each["partitions"]]
        for each in described
        if each["topic"].startswith(prefix)
    }


def covers(order: BatchSkipped, partition: TopicPartition, held: Held, prefix: str) -> bool:
    """Return True if the order skips the batch at which the partition is held."""
    same = prefix + order.topic == partition.topic and order.partition == partition.partition
    return same and order.first <= held.at < order.end
