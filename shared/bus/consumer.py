"""Key-ordered parallel consumption: one lane per key, many lanes at once, only finished offsets committed.

The subscriber keeps polling whatever the handlers do, so a handler of minutes costs no rebalance. When enough is in
flight the partitions are paused. A record's offset counts as finished when its handler has returned, that is, when its
outputs are published. A crash anywhere before that means redelivery.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from shared.bus.broker import subscribe
from shared.bus.offsets import OffsetTracker
from shared.settings import Settings

Raw: TypeAlias = ConsumerRecord[bytes, bytes]

COMMIT_EVERY = 0.1
"""Seconds between commits: what is repeated after a crash, not what is lost."""

AGAIN_AFTER = 1.0
"""Seconds before a record is handled again whose handler raised although it must not."""

log = structlog.get_logger()


class KeyedConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs `handle` for every record of some topics: in order within a key, at once across keys.

    `handle` must return only when the record is dealt with, and must not raise: it decides itself about retries and
    dead letters.
    """

    def __init__(
        self,
        broker: KafkaBroker,
        topics: Sequence[str],
        group: str,
        handle: Callable[[Raw], Awaitable[None]],
        settings: Settings,
    ) -> None:
        self._handle = handle
        self._limit = settings.max_in_flight
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._lanes: dict[bytes, deque[Raw]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._offsets: dict[TopicPartition, OffsetTracker] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._stopping = False
        self._rebalancing = False
        self._committing: asyncio.Task[None] | None = None
        self._consumer = subscribe(broker, topics, group, self._take, settings=settings, listener=self)

    def start(self) -> None:
        """Begin to commit. Call it once the broker is started."""
        self._committing = asyncio.create_task(self._commit_regularly())

    async def stop(self, grace: float) -> None:
        """Take nothing more, let what runs finish for `grace` seconds, commit what is finished.

        What is not finished is redelivered to another consumer of the group.
        """
        self._stopping = True
        self._lanes.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        if self._committing is not None:
            self._committing.cancel()
        await self._commit(self._offsets)

    @property
    def assigned(self) -> bool:
        """Whether the group has given this consumer any partition."""
        consumer = self._consumer()
        return consumer is not None and bool(consumer.assignment())

    @property
    def in_flight(self) -> int:
        """Records taken and not finished."""
        return sum(map(len, self._lanes.values()))

    async def _take(self, records: Sequence[Raw]) -> None:
        """Put records into their lanes.

        A batch that was fetched before a rebalance and comes during it is dropped: it is fetched again, and taken twice
        it would break the order in which offsets are followed.
        """
        if self._stopping or self._rebalancing:
            return
        for record in records:
            self._tracker(record).add(record.offset)
            self._enqueue(record)
        self._throttle()

    def _tracker(self, record: Raw) -> OffsetTracker:
        return self._offsets.setdefault(TopicPartition(record.topic, record.partition), OffsetTracker())

    def _enqueue(self, record: Raw) -> None:
        key = record.key or b"%d/%d" % (record.partition, record.offset)
        if (lane := self._lanes.get(key)) is not None:
            lane.append(record)
            return
        self._lanes[key] = deque([record])
        task = asyncio.create_task(self._run_lane(key))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run_lane(self, key: bytes) -> None:
        while lane := self._lanes.get(key):
            tracker = self._tracker(lane[0])
            async with self._slots:
                await self._handled(lane[0])
            tracker.finish(lane.popleft().offset)
            self._throttle()
        self._lanes.pop(key, None)

    async def _handled(self, record: Raw) -> None:
        """Handle a record, again and again if need be: a lane that died would hold up its partition in silence."""
        while True:
            try:
                return await self._handle(record)
            except Exception:
                log.exception("a record could not be dealt with", topic=record.topic, offset=record.offset)
                await asyncio.sleep(AGAIN_AFTER)

    def _throttle(self) -> None:
        consumer = self._consumer()
        if consumer is None:
            return
        if self.in_flight >= 2 * self._limit:
            consumer.pause(*consumer.assignment())
        elif paused := consumer.paused():
            consumer.resume(*paused)

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            if not self._rebalancing:
                await self._commit(self._offsets)

    async def _commit(self, partitions: Iterable[TopicPartition]) -> None:
        """Commit the watermarks that have risen. A commit that fails is tried again at the next turn."""
        consumer = self._consumer()
        owned = consumer.assignment() if consumer is not None else set()
        marks = {partition: self._offsets[partition].watermark for partition in partitions if partition in owned}
        risen = {p: mark for p, mark in marks.items() if mark is not None and mark != self._committed.get(p)}
        if not risen or consumer is None:
            return
        try:
            await consumer.commit(risen)
        except KafkaError as refused:
            log.warning("offsets not committed yet", error=repr(refused))
        else:
            self._committed |= risen

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit what is finished and forget what has not begun: its next owner gets it."""
        lost = set(revoked)
        self._rebalancing = True
        await self._commit(lost & self._offsets.keys())
        for partition in lost:
            self._offsets.pop(partition, None)
            self._committed.pop(partition, None)
        for lane in self._lanes.values():
            waiting = [r for r in list(lane)[1:] if TopicPartition(r.topic, r.partition) not in lost]
            while len(lane) > 1:
                lane.pop()
            lane.extend(waiting)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:  # noqa: ARG002 -- aiokafka calls it so
        """Take records again; fetching starts at the committed offsets."""
        self._rebalancing = False
