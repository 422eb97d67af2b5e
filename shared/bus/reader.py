"""The consumer everything is read through: committed records only, and an unreadable batch costs its partition alone.

aiokafka raises from `getmany` for one unreadable batch, and what that call had taken from other partitions is lost. So
each partition is asked for by itself. One whose next batch cannot be unpacked, also when it is fetched a second time,
is held where it is, with everything before the batch handed out; the others flow.
"""

import asyncio
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    RecordTooLargeError,
    UnsupportedCodecError,
)
from aiokafka.protocol.fetch import FetchRequest

Records: TypeAlias = list[ConsumerRecord[bytes, bytes]]

_UNREADABLE = (CorruptRecordException, UnsupportedCodecError, RecordTooLargeError)
"""What aiokafka says of a batch that cannot be unpacked, besides whatever its decoders raise that is no KafkaError."""

_NOWHERE = TopicPartition("", -1)
"""Asking for it brings nothing, but raises what is wrong with the group and waits while partitions are assigned."""

_HEADER = struct.Struct(">qiibIhi")
"""Of a batch, never compressed: base offset, length, leader epoch, magic, CRC, attributes, last offset's delta."""

_LONGEST_BATCH = 1_000_000
"""Offsets. A header that says more is garbage."""

_READ_COMMITTED = 1
_AT_ONCE = 500
"""Records of a doubtful partition that are handed out in one call."""

log = structlog.get_logger()


class Held(NamedTuple):
    """A batch that cannot be read, and at which a partition is held."""

    first: int
    """Its first offset, as far as its header can be believed."""
    at: int
    """The offset of the next record to read."""
    end: int
    """The offset after the batch."""
    why: str


class Unreadable(KafkaError):  # type: ignore[misc]
    """A range cannot be read because of a batch in it."""

    def __init__(self, partition: TopicPartition, held: Held) -> None:
        super().__init__(f"{place(partition)} cannot be read from offset {held.at} up to {held.end}: {held.why}")
        self.held = held


def place(partition: TopicPartition) -> str:
    """A partition as people name it."""
    return f"{partition.topic}/{partition.partition}"


class Reader(AIOKafkaConsumer):  # type: ignore[misc]
    """An AIOKafkaConsumer whose `getmany` isolates partitions that cannot be read."""

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **{"isolation_level": "read_committed"} | options)
        self._held: dict[TopicPartition, Held] = {}
        self._doubted: set[TopicPartition] = set()
        self._reached: dict[TopicPartition, int] = {}
        self._halted = False
        self.passed: dict[TopicPartition, int] = {}
        """Of each partition its position when `getmany` was called last: what it handed out before lies below, and so
        does what is no record, such as the mark of a transaction's end."""

    @property
    def held(self) -> Mapping[TopicPartition, Held]:
        """The partitions that are held. A rebalance frees them: what is still unreadable is then found once more."""
        paused = self.paused()
        self._held = {partition: held for partition, held in self._held.items() if partition in paused}
        return self._held

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, Records]:
        """Return what was fetched, by partition. Raises KafkaError for what is wrong with more than one batch."""
        until = time.monotonic() + timeout_ms / 1_000
        self.passed |= self._reached
        self._reached.clear()
        while True:
            await super().getmany(_NOWHERE)
            found = await self._fetched(partitions, max_records)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            await self._news(left)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from the offset; whatever is held there is tried again."""
        self._held.pop(partition, None)
        self._doubted.discard(partition)
        self.forget(partition)
        super().seek(partition, offset)

    def forget(self, partition: TopicPartition) -> None:
        """Its position says nothing any more of what was read."""
        self._reached.pop(partition, None)
        self.passed.pop(partition, None)

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch from these again, but for those that are held."""
        super().resume(*(each for each in partitions if each not in self._held))

    def halt(self) -> None:
        """Fetch nothing until `proceed`, also of a partition that is released meanwhile."""
        self._halted = True
        self.pause(*self.assignment())

    def proceed(self) -> None:
        """Fetch again."""
        self._halted = False
        self.resume(*self.paused())

    def release(self, partition: TopicPartition, offset: int) -> None:
        """Go on behind an unreadable batch."""
        self.seek(partition, offset)
        self.passed[partition] = offset
        if not self._halted:
            self.resume(partition)

    async def _fetched(self, wanted: tuple[TopicPartition, ...], most: int | None) -> dict[TopicPartition, Records]:
        found: dict[TopicPartition, Records] = {}
        for partition in [each for each in self._fetcher._records if not wanted or each in wanted]:  # noqa: SLF001
            left = None if most is None else most - sum(map(len, found.values()))
            if left == 0:
                break
            try:
                records = await self._read(partition, left)
            except KafkaError:
                if found:  # positions have moved past these: raised now, they would be lost; it is raised again
                    break
                raise
            if records:
                found[partition] = records
        return found

    async def _read(self, partition: TopicPartition, most: int | None) -> Records:
        """What was fetched of one partition; nothing when it cannot be read."""
        try:
            records = await self._records_of(partition, most)
        except _UNREADABLE as why:
            await self._doubt(partition, why)
            return []
        except KafkaError:
            raise
        except Exception as why:  # noqa: BLE001 -- each decoder has errors of its own
            await self._doubt(partition, why)
            return []
        if self._subscription.is_assigned(partition):
            self._reached[partition] = await self.position(partition)
        return records

    async def _records_of(self, partition: TopicPartition, most: int | None) -> Records:
        if partition not in self._doubted:
            found: dict[TopicPartition, Records] = await super().getmany(partition, max_records=most)
            return found.get(partition, [])
        return await self._one_by_one(partition, most or _AT_ONCE)

    async def _one_by_one(self, partition: TopicPartition, most: int) -> Records:
        """What comes before a batch that cannot be read: asked for at once, it would be lost with it."""
        records: Records = []
        try:
            while len(records) < most:
                one = (await super().getmany(partition, max_records=1)).get(partition)
                if not one:
                    self._doubted.discard(partition)
                    break
                records += one
        except Exception:
            if not records:
                raise
            super().seek(partition, records[-1].offset + 1)
        return records

    async def _doubt(self, partition: TopicPartition, why: Exception) -> None:
        """Fetch once more what cannot be read; hold the partition when that does not help."""
        with suppress(IllegalStateError):  # it was lost meanwhile
            at = await self.position(partition) - isinstance(why, RecordTooLargeError)
            super().seek(partition, at)
            if partition not in self._doubted:
                self._doubted.add(partition)
                return
            first, end = await self._extent(partition, at)
            self._held[partition] = held = Held(first, at, end, f"{type(why).__name__}: {why}"[:300])
            self.pause(partition)
            tell(partition, held)

    async def _extent(self, partition: TopicPartition, at: int) -> tuple[int, int]:
        """The first offset of a batch and the one after it, as its header says; of garbage, that of one record."""
        leader = self._client.cluster.leader_for_partition(partition)
        asked = [(partition.topic, [(partition.partition, at, _HEADER.size)])]
        answer = await self._client.send(leader, FetchRequest(500, 1, _HEADER.size, _READ_COMMITTED, asked))
        [(_, [(*_, batch)])] = answer.topics
        with suppress(struct.error):
            first, *_, delta = _HEADER.unpack_from(batch)
            if 0 <= delta < _LONGEST_BATCH and first <= at <= first + delta:
                return first, first + delta + 1
        return at, at + 1

    async def _news(self, seconds: float) -> None:
        """Return when something was fetched, or the time is over. Raises KafkaError when the group is refused."""
        waiter = self._fetcher._create_fetch_waiter()  # noqa: SLF001 -- pinned; there is no other way to wait for any
        await asyncio.wait([waiter], timeout=seconds)
        if waiter.done():
            waiter.result()
        else:
            waiter.cancel()


def tell(partition: TopicPartition, held: Held) -> None:
    """Log that a partition is held."""
    extent = {"first": held.first, "offset": held.at, "end": held.end}
    log.error("partition_held", topic=partition.topic, partition=partition.partition, **extent, error=held.why)
