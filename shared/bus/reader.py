"""Consumer for all reads: committed records only; an unreadable batch affects only its own partition.

aiokafka's `getmany` raises for one unreadable batch and loses the records it had taken from other partitions. So each
partition is requested by itself. If a batch cannot be unpacked even after a second fetch, its partition is held there,
after everything before the batch was returned; the other partitions continue.
"""

import asyncio
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

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

from shared.bus.codecs import bound_decoders
from shared.bus.held import Held, log_held
from shared.bus.keyring import Keyring, KeysUnavailable, Missing
from shared.telemetry.logs import SELDOM

Records: TypeAlias = list[ConsumerRecord[bytes, bytes]]

_UNREADABLE = (CorruptRecordException, UnsupportedCodecError, RecordTooLargeError)
"""aiokafka's errors for a batch that cannot be unpacked. Decoders also raise errors that are no KafkaError."""

_NOWHERE = TopicPartition("", -1)
"""Requesting it returns nothing, but raises errors of the group and waits while partitions are assigned."""

_HEADER = struct.Struct(">qiibIhi")
"""Uncompressed batch header: base offset, length, leader epoch, magic, CRC, attributes, delta of the last offset."""

_LONGEST_BATCH = 1_000_000
"""Offsets. A header with a larger delta is garbage."""

_KEYS_PAUSE = 0.5
"""Seconds before records are opened once more whose keys were unavailable. Other partitions are read meanwhile."""

_READ_COMMITTED = 1
_AT_ONCE = 500
"""Records of a suspect partition returned per call."""

log = structlog.get_logger()

bound_decoders()


class Reader(AIOKafkaConsumer):  # type: ignore[misc]
    """An AIOKafkaConsumer whose `getmany` isolates partitions that cannot be read.

    Consumers of a group hold a partition at a record whose key is missing, in an installation that seals; so do readers
    of a `whole` log in any. Others return such a record sealed.
    """

    def __init__(
        self, *topics: str, keyring: Keyring | None = None, whole: bool = False, idle_ms: int = 0, **options: Any
    ) -> None:
        super().__init__(*topics, **{"isolation_level": "read_committed"} | options)
        self._keyring = keyring
        self._whole = whole
        self._idle_ms = idle_ms
        self._keyless: dict[TopicPartition, Held] = {}
        self._held: dict[TopicPartition, Held] = {}
        self._suspect: set[TopicPartition] = set()
        self._reached: dict[TopicPartition, int] = {}
        self._sealed_until: dict[TopicPartition, float] = {}
        self._halted = False
        self.passed: dict[TopicPartition, int] = {}
        """Position of each partition: above everything that `getmany` returned before its last call, including control
        batches such as transaction end markers."""

    @property
    def held(self) -> Mapping[TopicPartition, Held]:
        """The held partitions. A rebalance releases them; what cannot be read is then detected once more."""
        paused, assigned = self.paused(), self.assignment()
        self._held = {partition: held for partition, held in self._held.items() if partition in paused}
        self._keyless = {partition: held for partition, held in self._keyless.items() if partition in assigned}
        return self._held | self._keyless

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, Records]:
        """Return fetched records by partition. Raises KafkaError for faults beyond a single batch."""
        until = time.monotonic() + max(timeout_ms, self._idle_ms) / 1_000
        while True:
            self.passed |= self._reached
            self._reached.clear()
            await super().getmany(_NOWHERE)
            found = await self._fetched(partitions, max_records)
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            await self._await_fetch(left)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue from the offset; a batch held there is retried."""
        self._held.pop(partition, None)
        self._suspect.discard(partition)
        self.forget(partition)
        super().seek(partition, offset)

    def forget(self, partition: TopicPartition) -> None:
        """Forget the partition's position."""
        self._reached.pop(partition, None)
        self.passed.pop(partition, None)
        self._sealed_until.pop(partition, None)
        self._keyless.pop(partition, None)

    def resume(self, *partitions: TopicPartition) -> None:
        """Resume fetching from these partitions, except held ones."""
        super().resume(*(each for each in partitions if each not in self._held))

    def halt(self) -> None:
        """Stop fetching until `proceed`, including partitions released in between."""
        self._halted = True
        self.pause(*self.assignment())

    def proceed(self) -> None:
        """Resume fetching."""
        self._halted = False
        self.resume(*self.paused())

    def release(self, partition: TopicPartition, offset: int) -> None:
        """Continue after an unreadable batch."""
        self.seek(partition, offset)
        self.passed[partition] = offset
        if not self._halted:
            self.resume(partition)

    async def _fetched(self, wanted: tuple[TopicPartition, ...], most: int | None) -> dict[TopicPartition, Records]:
        found: dict[TopicPartition, Records] = {}
        for partition in self._ready(wanted):
            left = None if most is None else most - sum(map(len, found.values()))
            if left == 0:
                break
            try:
                records = await self._read(partition, left)
            except Exception:  # raised by the next call, which starts where this one failed
                if found:  # positions have moved past these: raised now, they would be lost; it is raised again
                    break
                raise
            if records:
                found[partition] = records
        return found

    def _ready(self, wanted: tuple[TopicPartition, ...]) -> list[TopicPartition]:
        """Return the partitions with fetched records, without those that wait for keys."""
        now = time.monotonic()
        self._sealed_until = {each: until for each, until in self._sealed_until.items() if until > now}
        fetched = [each for each in self._fetcher._records if not wanted or each in wanted]  # noqa: SLF001
        return [each for each in fetched if each not in self._sealed_until]

    async def _read(self, partition: TopicPartition, most: int | None) -> Records:
        """Return the fetched records of one partition; empty if they cannot be read."""
        try:
            records = await self._records_of(partition, most)
        except _UNREADABLE as why:
            await self._recheck(partition, why)
            return []
        except KafkaError:
            raise
        except Exception as why:  # noqa: BLE001 -- each decoder raises errors of its own
            await self._recheck(partition, why)
            return []
        if records and self._keyring is not None:
            opened = await self._opened(self._keyring, partition, records)
            if opened is None:
                return []
            records = opened
        if self._subscription.is_assigned(partition):
            self._reached[partition] = await self.position(partition)
        return records

    async def _opened(self, keyring: Keyring, partition: TopicPartition, records: Records) -> Records | None:
        """Return the records opened, without those of forgotten runs; None if they are to be fetched once more.

        A rebalance may move the partition meanwhile; then they are fetched from the new position.
        """
        hold = self._whole or (self._group_id is not None and keyring.seals)
        try:
            opened = await keyring.opened(records, hold=hold)
        except KeysUnavailable as outage:
            log.warning("keys_unavailable", topic=partition.topic, error=str(outage), **SELDOM)
            await self._put_back(partition, records[0].offset, records)
            return None
        except Exception:  # a defect: logged and retried, because these records would be lost
            log.exception("records_not_opened", topic=partition.topic, **SELDOM)
            await self._put_back(partition, records[0].offset, records)
            return None
        if not await self._follows(partition, records):
            return None
        await self._hold_for_key(partition, opened.missing, records)
        return opened.records

    async def _hold_for_key(self, partition: TopicPartition, missing: Missing | None, records: Records) -> None:
        """Hold a partition at a record whose key is missing; the record is opened once more after a pause."""
        before = self._keyless.pop(partition, None)
        if missing is None:
            return
        self._keyless[partition] = held = Held(missing.offset, missing.offset, missing.offset + 1, missing.why)
        if held != before:
            log_held(partition, held)
        await self._put_back(partition, missing.offset, records)

    async def _put_back(self, partition: TopicPartition, offset: int, records: Records) -> None:
        """Have the records from this offset fetched once more, after a pause."""
        self._sealed_until[partition] = time.monotonic() + _KEYS_PAUSE
        with suppress(IllegalStateError):
            if await self._follows(partition, records):
                super().seek(partition, offset)

    async def _follows(self, partition: TopicPartition, records: Records) -> bool:
        """Return True if the partition's position is still right after these records."""
        assigned = self._subscription.is_assigned(partition)
        return bool(assigned and await self.position(partition) > records[-1].offset)

    async def _records_of(self, partition: TopicPartition, most: int | None) -> Records:
        if partition not in self._suspect:
            found: dict[TopicPartition, Records] = await super().getmany(partition, max_records=most)
            return found.get(partition, [])
        return await self._one_by_one(partition, most or _AT_ONCE)

    async def _one_by_one(self, partition: TopicPartition, most: int) -> Records:
        """Return the records before an unreadable batch, read singly so that they are not lost with it."""
        records: Records = []
        try:
            while len(records) < most:
                one = (await super().getmany(partition, max_records=1)).get(partition)
                if not one:
                    self._suspect.discard(partition)
                    break
                records += one
        except Exception:  # raised by the next call, which starts at the unreadable record
            if not records:
                raise
            super().seek(partition, records[-1].offset + 1)
        return records

    async def _recheck(self, partition: TopicPartition, why: Exception) -> None:
        """Fetch an unreadable batch a second time; hold the partition if that fails too."""
        with suppress(IllegalStateError):  # the partition was revoked
            at = await self.position(partition) - isinstance(why, RecordTooLargeError)
            super().seek(partition, at)
            if partition not in self._suspect:
                self._suspect.add(partition)
                return
            first, end = await self._extent(partition, at)
            self._held[partition] = held = Held(first, at, end, f"{type(why).__name__}: {why}"[:300])
            self.pause(partition)
            log_held(partition, held)

    async def _extent(self, partition: TopicPartition, at: int) -> tuple[int, int]:
        """Return the batch's first offset and the one after it, by its header; one record if that is garbage."""
        leader = self._client.cluster.leader_for_partition(partition)
        asked = [(partition.topic, [(partition.partition, at, _HEADER.size)])]
        answer = await self._client.send(leader, FetchRequest(500, 1, _HEADER.size, _READ_COMMITTED, asked))
        [(_, [(*_, batch)])] = answer.topics
        with suppress(struct.error):
            first, *_, delta = _HEADER.unpack_from(batch)
            if 0 <= delta < _LONGEST_BATCH and first <= at <= first + delta:
                return first, first + delta + 1
        return at, at + 1

    async def _await_fetch(self, seconds: float) -> None:
        """Return when records were fetched or time is up. Raises KafkaError if the group is rejected."""
        waiter = self._fetcher._create_fetch_waiter()  # noqa: SLF001 -- version is pinned; no public way to wait
        await asyncio.wait([waiter], timeout=seconds)
        if waiter.done():
            waiter.result()
        else:
            waiter.cancel()
