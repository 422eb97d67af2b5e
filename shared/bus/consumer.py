"""Key-ordered parallel consumption: one lane per key, many lanes at once, only finished offsets committed.

The subscriber keeps polling whatever the handlers do, so a handler of minutes costs no rebalance. When enough was read
ahead the partitions are paused. A record's offset counts as finished when its handler has returned, that is, when its
outputs are published. A crash anywhere before that means redelivery.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from schemas.envelope import HEADER
from schemas.task import Priority
from shared.bus.broker import size_of, subscribe
from shared.bus.lanes import Lanes
from shared.bus.offsets import OffsetTracker
from shared.bus.reader import Held
from shared.bus.shares import OUTSIDE, tenant_of
from shared.config import Settings
from shared.errors import Fenced
from shared.telemetry.logs import handling

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

COMMIT_EVERY = 0.1
"""Seconds between commits: what is repeated after a crash, not what is lost."""

AGAIN_AFTER = 1.0
"""Seconds before a record is handled again that somebody else claimed, or whose handler raised although it must not."""

READ_AHEAD = 32
"""Records read ahead for each that may be in flight: how far behind one tenant's flood another tenant is found."""

READ_AHEAD_BYTES = 32 * 1_048_576
"""Bytes read ahead, at most, but for the batch that passes it."""


class _Taken(NamedTuple):
    """A record, with the tracker its partition had when it was read."""

    record: Raw
    tracker: OffsetTracker

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.record.topic, self.record.partition)

    @property
    def size(self) -> int:
        return size_of(self.record.key, self.record.value or b"", self.record.headers)


_URGENCY = {Priority.LOW.value.encode(): -1, Priority.HIGH.value.encode(): 1}

log = structlog.get_logger()


class KeyedConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs `handle` for every record of some topics: in order within a key, at once across keys.

    `handle` must return only when the record is dealt with, and decides itself about retries and dead letters. It may
    raise Fenced: somebody else has claimed the work. If the partition is still ours, that was somebody whose time is
    over, and the record is handled again; if not, it is let go. Tenants get equal shares, and a tenant's urgent records
    go first. On topics written from outside the tenant is read from the payload, elsewhere from the headers.
    """

    def __init__(
        self,
        broker: KafkaBroker,
        topics: Sequence[str],
        group: str,
        handle: Callable[[Raw], Awaitable[None]],
        settings: Settings,
    ) -> None:
        self.group = group
        self._outside = frozenset(settings.topic_prefix + topic for topic in OUTSIDE)
        self._longest = settings.max_message_bytes
        self._paused = False
        self._handle = handle
        self._read_ahead = READ_AHEAD * settings.max_in_flight
        self._lanes: Lanes[_Taken] = Lanes(settings.max_in_flight)
        self._bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._offsets: dict[TopicPartition, OffsetTracker] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._refused_since: float | None = None
        self._stopping = False
        self._rebalancing = True  # until the first assignment
        self._committing: asyncio.Task[None] | None = None
        self.reader = subscribe(broker, topics, group, self._take, settings=settings, listener=self)

    def start(self) -> None:
        """Begin to commit. Call it once the broker is started."""
        self._committing = asyncio.create_task(self._commit_regularly())

    async def stop(self, grace: float) -> None:
        """Take nothing more, let what runs finish for `grace` seconds, commit what is finished.

        What is not finished is redelivered to another consumer of the group.
        """
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)
        await self._commit(self._offsets)

    @property
    def joined(self) -> bool:
        """Whether it is a member of its group, and no rebalance goes on. It may own no partition all the same."""
        return not self._rebalancing

    @property
    def deaf_for(self) -> float:
        """Seconds for which Kafka has answered no fetch or taken no commit: it is away, or this has lost its group."""
        consumer = self.reader()
        reading = consumer.assignment() - consumer.paused() if consumer is not None else set()
        polls = [at for at in map(consumer.last_poll_timestamp, reading) if at] if consumer is not None else []
        unheard = time.time() - max(polls) / 1_000 if polls else 0.0
        refused = time.monotonic() - self._refused_since if self._refused_since is not None else 0.0
        return max(unheard, refused)

    @property
    def in_flight(self) -> int:
        """Records being worked on."""
        return self._lanes.in_flight

    @property
    def waiting(self) -> int:
        """Records read ahead that have not begun."""
        return len(self._lanes) - self._lanes.in_flight

    def lag(self) -> dict[str, int]:
        """Records of each topic that are not done, in the partitions this consumer has read from."""
        consumer, found = self.reader(), dict[str, int]()
        if consumer is None:
            return found
        for partition in consumer.assignment() & self._offsets.keys():
            behind = self._offsets[partition].behind(consumer.highwater(partition) or 0)
            found[partition.topic] = found.get(partition.topic, 0) + behind
        return found

    @property
    def held(self) -> Mapping[TopicPartition, Held]:
        """The partitions that wait at a batch which cannot be read."""
        reader = self.reader()
        return reader.held if reader is not None else {}

    def standing(self) -> dict[str, float]:
        """Of each topic the seconds for which a partition's offset to commit has stood still, the longest."""
        found: dict[str, float] = {}
        for partition, tracker in self._offsets.items():
            found[partition.topic] = max(found.get(partition.topic, 0.0), tracker.standing)
        return found

    async def _take(self, records: Sequence[Raw]) -> None:
        """Put records into their lanes.

        A batch that was fetched before a rebalance and comes during it is dropped: it is fetched again, and taken twice
        it would break the order in which offsets are followed.
        """
        if self._stopping or self._rebalancing:
            return
        for record in records:
            taken = self._taken(record)
            taken.tracker.add(record.offset)
            headers = dict(record.headers)
            self._bytes += taken.size
            self._lanes.add(
                _key(record),
                taken,
                tenant=tenant_of(record, outside=record.topic in self._outside, longest=self._longest),
                urgency=_URGENCY.get(headers.get(HEADER["priority"]) or b"", 0),
            )
        self._begin()
        self._throttle()

    def _begin(self) -> None:
        """Begin with as many records as may be in flight, but during a rebalance with none: they may be another's."""
        while not self._stopping and not self._rebalancing and (found := self._lanes.next()) is not None:
            task = asyncio.create_task(self._run(*found))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, key: Hashable, taken: _Taken) -> None:
        await self._handled(taken)
        taken.tracker.finish(taken.record.offset)
        self._bytes -= taken.size
        self._lanes.finish(key)
        self._begin()
        self._throttle()

    async def _handled(self, taken: _Taken) -> None:
        """Handle a record, again and again while its partition is ours: a lane that died would hold that up in silence.

        Whose it is is looked at after the pause: it may go to its next owner meanwhile.
        """
        record, owned = taken.record, True
        while owned:
            with handling():
                try:
                    await self._handle(record)
                except Fenced as fenced:
                    log.warning("claimed by another", topic=record.topic, offset=record.offset, why=str(fenced))
                except Exception:  # a defect: told, and handled again, for a record that is let go is lost
                    log.exception("a record could not be dealt with", topic=record.topic, offset=record.offset)
                else:
                    return
            await asyncio.sleep(AGAIN_AFTER)
            owned = self._offsets.get(taken.partition) is taken.tracker

    def _taken(self, record: Raw) -> _Taken:
        partition = TopicPartition(record.topic, record.partition)
        return _Taken(record, self._offsets.setdefault(partition, OffsetTracker()))

    def _throttle(self) -> None:
        """Pause or resume fetching. Kafka's client is asked only when that changes: it looks at every partition."""
        full = len(self._lanes) >= self._read_ahead or self._bytes >= READ_AHEAD_BYTES
        consumer = self.reader()
        if consumer is None or full == self._paused:
            return
        if full:
            consumer.halt()
        else:
            consumer.proceed()
        self._paused = full

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            if not self._rebalancing:
                self._pass()
                await self._commit(self._offsets)

    def _pass(self) -> None:
        """Count as done what holds no records, or the end of a transaction would look like one that is not."""
        if (consumer := self.reader()) is not None:
            for partition in consumer.passed.keys() & consumer.assignment():
                self._offsets.setdefault(partition, OffsetTracker()).passed(consumer.passed[partition])

    async def _commit(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit the watermarks that have risen. A commit that fails is tried again at the next turn."""
        consumer = self.reader()
        owned = consumer.assignment() if consumer is not None else set()
        marks = {partition: self._offsets[partition].watermark for partition in partitions if partition in owned}
        risen = {p: mark for p, mark in marks.items() if mark is not None and mark != self._committed.get(p)}
        if not risen or consumer is None:
            return
        try:
            await consumer.commit(risen)
        except KafkaError as refused:
            if self._refused_since is None:
                log.warning("offsets are not committed until Kafka takes them again", error=repr(refused))
                self._refused_since = time.monotonic()
        else:
            self._committed |= risen
            self._refused_since = None

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit what is finished and forget what has not begun: its next owner gets it."""
        lost = set(revoked)
        self._rebalancing = True
        await self._commit(lost & self._offsets.keys())
        for partition in lost:
            self._offsets.pop(partition, None)
            self._committed.pop(partition, None)
            if (consumer := self.reader()) is not None:
                consumer.forget(partition)
        self._lanes.forget(lambda taken: taken.partition in lost)
        self._bytes = sum(taken.size for taken in self._lanes.items())

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take records again; fetching starts at the committed offsets, with nothing paused."""
        if (consumer := self.reader()) is not None:
            for partition in assigned:
                consumer.forget(partition)
            consumer.proceed()
        self._rebalancing = False
        self._paused = False
        self._begin()
        self._throttle()


def _key(record: Raw) -> Hashable:
    """Records without a key have no order among each other."""
    return record.key or (record.topic, record.partition, record.offset)
