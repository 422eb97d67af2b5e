"""Key-ordered parallel consumption: one lane per key, many lanes in parallel, only finished offsets committed.

The subscriber keeps polling while handlers run, so a handler may take minutes without causing a rebalance. Once enough
records are read ahead, the partitions are paused. A record's offset is finished when its handler has returned, that is,
when its outputs are published. A crash before that leads to redelivery.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from faststream.kafka import KafkaBroker

from schemas.envelope import HEADER
from schemas.task import Priority
from shared.bus.broker import subscribe
from shared.bus.commits import Commits
from shared.bus.held import Held
from shared.bus.lanes import Lanes
from shared.bus.offsets import OffsetTracker
from shared.bus.publishing import size_of
from shared.bus.shares import OUTSIDE, tenant_of
from shared.config import Settings
from shared.errors import Fenced
from shared.telemetry.logs import handling

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

COMMIT_EVERY = 0.1
"""Seconds between commits. Bounds the records repeated after a crash; none are lost."""

IDLE_COMMIT_EVERY = 1.0
"""Seconds between commits while no record is finished."""

RETRY_AFTER = 1.0
"""Seconds before a retry of a record that another worker owns, or whose handler raised against its contract."""

READ_AHEAD = 32
"""Prefetch per in-flight slot. Bounds how deep into one tenant's backlog another tenant's records are found."""

READ_AHEAD_BYTES = 32 * 1_048_576
"""Limit of bytes read ahead; the batch that crosses it is still taken."""


class _InFlight(NamedTuple):
    """A record with the tracker its partition had when it was read."""

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
    """Calls `handle` for every record of some topics: in order within a key, in parallel across keys.

    `handle` must return only when the record is finished; retries and dead letters are its own decision. It may raise
    Fenced: another worker owns the work. If this consumer still owns the partition, that worker was a zombie and the
    record is handled again; otherwise the record is dropped. Tenants get equal shares, and a tenant's urgent records go
    first. The tenant is read from the payload on topics written from outside, elsewhere from the headers. `pattern`: a
    regular expression instead of `topics`, for topics that may be created later.
    """

    def __init__(
        self,
        broker: KafkaBroker,
        topics: Sequence[str],
        group: str,
        handle: Callable[[Raw], Awaitable[None]],
        settings: Settings,
        pattern: str | None = None,
    ) -> None:
        self.group = group
        self._outside = frozenset(settings.topic_prefix + topic for topic in OUTSIDE)
        self._longest = settings.max_message_bytes
        self._paused = False
        self._handle = handle
        self._read_ahead = READ_AHEAD * settings.max_in_flight
        self._lanes: Lanes[_InFlight] = Lanes(settings.max_in_flight)
        self._bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._finished = asyncio.Event()
        self._rebalancing = True  # until the first assignment
        self._committing: asyncio.Task[None] | None = None
        self.reader = subscribe(broker, topics, group, self._take, settings=settings, listener=self, pattern=pattern)
        self.commits = Commits(self.reader)

    def start(self) -> None:
        """Start committing. Call once the broker is started."""
        self._committing = asyncio.create_task(self._commit_regularly())

    async def stop(self, grace: float) -> None:
        """Take no more records, let running handlers finish within `grace` seconds, commit finished offsets.

        Unfinished records are redelivered to another consumer of the group.
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
        await self.commits.commit()

    @property
    def joined(self) -> bool:
        """True if it is a member of its group and no rebalance is in progress. It may still own no partition."""
        return not self._rebalancing

    @property
    def seconds_since_fetch(self) -> float:
        """Seconds since Kafka last answered a fetch or took a commit; grows in an outage or if the group is lost."""
        consumer = self.reader()
        reading = consumer.assignment() - consumer.paused() if consumer is not None else set()
        polls = [at for at in map(consumer.last_poll_timestamp, reading) if at] if consumer is not None else []
        since_fetch = time.time() - max(polls) / 1_000 if polls else 0.0
        return max(since_fetch, self.commits.seconds_failing)

    @property
    def in_flight(self) -> int:
        """Records being processed."""
        return self._lanes.in_flight

    @property
    def waiting(self) -> int:
        """Records read ahead and not yet started."""
        return len(self._lanes) - self._lanes.in_flight

    @property
    def held(self) -> Mapping[TopicPartition, Held]:
        """Partitions held at an unreadable batch."""
        reader = self.reader()
        return reader.held if reader is not None else {}

    async def _take(self, records: Sequence[Raw]) -> None:
        """Put records into their lanes.

        A batch fetched before a rebalance and delivered during it is dropped: it is fetched again, and taking it twice
        would break the order in which offsets are tracked.
        """
        if self._stopping or self._rebalancing:
            return
        for record in records:
            taken = self._track(record)
            taken.tracker.add(record.offset)
            headers = dict(record.headers)
            self._bytes += taken.size
            self._lanes.add(
                _key(record),
                taken,
                tenant=tenant_of(record, outside=record.topic in self._outside, longest=self._longest),
                urgency=_URGENCY.get(headers.get(HEADER["priority"]) or b"", 0),
            )
        self._start_ready()
        self._throttle()

    def _start_ready(self) -> None:
        """Start as many records as may be in flight; none during a rebalance, as another consumer may own them."""
        while not self._stopping and not self._rebalancing and (found := self._lanes.next()) is not None:
            task = asyncio.create_task(self._run(*found))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, key: Hashable, taken: _InFlight) -> None:
        await self._handle_until_done(taken)
        taken.tracker.finish(taken.record.offset)
        self._finished.set()
        self._bytes -= taken.size
        self._lanes.finish(key)
        self._start_ready()
        self._throttle()

    async def _handle_until_done(self, taken: _InFlight) -> None:
        """Handle a record, retrying while the partition is ours: a lane that died would block it silently.

        Ownership is checked after the pause, during which the partition may move to another consumer.
        """
        record, owned = taken.record, True
        while owned:
            with handling():
                try:
                    await self._handle(record)
                except Fenced as fenced:
                    log.warning("record_fenced", topic=record.topic, offset=record.offset, reason=str(fenced))
                except Exception:  # a defect: logged and retried, because dropping the record would lose it
                    log.exception("handler_raised", topic=record.topic, offset=record.offset)
                else:
                    return
            await asyncio.sleep(RETRY_AFTER)
            owned = self.commits.is_current(taken.partition, taken.tracker)

    def _track(self, record: Raw) -> _InFlight:
        partition = TopicPartition(record.topic, record.partition)
        return _InFlight(record, self.commits.tracker(partition))

    def _throttle(self) -> None:
        """Pause or resume fetching. Kafka's client is called only on a change: it visits every partition."""
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
            await self._finished_or_idle()
            await asyncio.sleep(COMMIT_EVERY)
            if self._rebalancing:
                continue
            if not self._stopping:  # a stopping consumer drops records, which must not count as passed
                self.commits.pass_gaps()
            await self.commits.commit()

    async def _finished_or_idle(self) -> None:
        """Return once a record is finished, and now and then without: offsets may be passed that have no record."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_COMMIT_EVERY):
                await self._finished.wait()
        self._finished.clear()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit finished offsets and forget records not yet started: they go to the next owner."""
        lost = set(revoked)
        self._rebalancing = True
        await self.commits.commit()
        self.commits.forget(lost)
        if (consumer := self.reader()) is not None:
            for partition in lost:
                consumer.forget(partition)
        self._lanes.forget(lambda taken: taken.partition in lost)
        self._bytes = sum(taken.size for taken in self._lanes.items())

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Resume taking records; fetching starts at the committed offsets, with nothing paused."""
        if (consumer := self.reader()) is not None:
            for partition in assigned:
                consumer.forget(partition)
            consumer.proceed()
        self._rebalancing = False
        self._paused = False
        self._start_ready()
        self._throttle()


def _key(record: Raw) -> Hashable:
    """Return the lane's key. Records without a key have no order among themselves."""
    return record.key or (record.topic, record.partition, record.offset)
