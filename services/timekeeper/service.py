"""The timekeeper: one durable service for everything that waits.

The path of a timer: read from a compacted topic of its writer (`timers`, `retries.<agent>`) → waits in memory → due →
its record is published → its key is erased from the topic. Timers are independent: one that cannot be published is
retried a little later. After a crash between the last two steps it fires again: consumers drop repeats by id.

A timer that its writer has cleared, with an empty record under its key, is erased immediately and not published.

Work that an operator has stopped is parked here, too: such a timer is due as soon as its scopes are released.

A timer that cannot be read, or that names a topic its writer may not write to, is due immediately and goes to the
dead-letter topic.
"""

import asyncio
import time
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition

from schemas.timer import TimerSet
from services.timekeeper.timers import Due, Timers
from services.timekeeper.topic_queues import TopicQueues
from shared.bus import Erased, Raw, Record, TableConsumer, TombstoneWriter, decode, fire, publish
from shared.bus.admin import Lookup
from shared.bus.dead_letter import SUFFIX, write_dead_letter
from shared.bus.groups import TIMEKEEPER, tables
from shared.bus.timers import check_target
from shared.config import ServiceSettings
from shared.errors import InvalidMessage
from shared.service import Parts, connect, serve_table
from shared.service.kill_switch import KillSwitch
from shared.service.policies import read_configuration

LONGEST_SLEEP = 0.25
"""Longest sleep, in seconds: a clock that was set forward is noticed after at most this long."""

AT_ONCE = 500
"""Timers of one topic that fire concurrently."""

LOST_RETRY_AFTER = 60.0
"""Seconds before the retry of a timer whose record its topic does not hold."""

RETRY_AFTER = 1.0
"""Seconds before the retry of a timer whose record could not be published."""

LOG_EVERY = 60.0
"""Seconds between two log lines about the same kind of failure at the same topic."""

RELIST = 5.0
"""Longest time, in seconds, until the topic of a new agent is noticed."""

RELEASED_AFTER = 0.5
"""Seconds before a record that was parked although none of its scopes is stopped is returned: its agent is behind."""

CLEARED = b""
"""Content of a timer that its writer has cleared: its key is erased, because Kafka compacts nothing else away."""

log = structlog.get_logger()


class TimerLost(Exception):
    """A timer's content is neither in memory nor in the topic."""


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """Implements `shared.bus.Table` and fires what is due."""

    parts: Parts
    timers: Timers
    eraser: TombstoneWriter
    changed: asyncio.Event
    stops: KillSwitch
    lookup: Lookup
    _logged: dict[tuple[str, str], float] = field(default_factory=dict)
    """(topic, kind of failure) → time of its last log line, by the monotonic clock."""
    _refused: dict[tuple[TopicPartition, str], tuple[Raw, InvalidMessage]] = field(default_factory=dict)
    """Timers due to the dead-letter topic, and the reason."""

    def put(self, place: TopicPartition, key: str, record: Raw) -> None:
        """Add a timer; one that was cleared, or may not be delivered (a dead letter), is due immediately."""
        self._refused.pop((place, key), None)
        content, offset = record.value or b"", record.offset
        if content == CLEARED:
            self.timers.set(place, key, 0.0, CLEARED, offset=offset)
            self.changed.set()
            return
        try:
            timer = self._read(record)
        except InvalidMessage as wrong:
            self._refused[place, key] = record, wrong
            self.timers.set(place, key, 0.0, content, topic=f"{place.topic}{SUFFIX}", offset=offset)
        else:
            due, scopes = self._due_of(timer), timer.parked_by
            self.timers.set(place, key, due, content, topic=timer.topic, offset=offset, parked_by=scopes)
        self.changed.set()

    def _due_of(self, timer: TimerSet) -> float:
        """Return when a timer is due: soon if it is parked but not stopped, so that its agent can learn that, too."""
        due, stopped = timer.due.timestamp(), self.stops.scopes
        if timer.parked_by and stopped is not None and stopped.isdisjoint(timer.parked_by):
            return min(due, time.time() + RELEASED_AFTER)
        return due

    def _read(self, record: Raw) -> TimerSet:
        """Return the timer in a record. Raises InvalidMessage if it, or the record in it, may not be delivered."""
        prefix = self.parts.settings.topic_prefix
        timer = decode(record, prefix).message
        assert isinstance(timer, TimerSet), "timer topics carry nothing else"
        check_target(timer, record.topic.removeprefix(prefix))
        return timer

    def clear(self, place: TopicPartition, key: str) -> None:
        """Remove a timer that has fired or is obsolete."""
        self._refused.pop((place, key), None)
        self.timers.clear(place, key)

    def complete(self, place: TopicPartition) -> None:
        """Mark a partition as completely read: its due timers may fire."""
        self.timers.complete(place)
        log.debug("timers_loaded", topic=place.topic, partition=place.partition, waiting=len(self.timers))
        self.changed.set()

    def drop(self, place: TopicPartition) -> None:
        """Remove the timers of a partition that another replica owns now."""
        for each in [each for each in self._refused if each[0] == place]:
            del self._refused[each]
        self.timers.drop(place)

    async def fire(self) -> None:
        """Publish due timers to their topics, without end."""
        async with asyncio.TaskGroup() as group:
            queues = TopicQueues(group, self._fire, AT_ONCE)
            while True:
                self.timers.release(self.stops.scopes, time.time())
                due = self.timers.due(time.time(), AT_ONCE)
                for each in due:
                    queues.add(each.topic, each)
                await (asyncio.sleep(0) if due else self._sleep())

    async def _fire(self, due: Due) -> None:
        """Publish a timer and erase it, if it is unchanged; if that fails, postpone it."""
        if not self.timers.has(due):
            return
        try:
            await self._deliver(due)
            if self.timers.has(due):
                await self.eraser.erase([Erased(due.place.topic, due.id, due.place.partition)])
        except Exception as failure:  # noqa: BLE001 -- a failure of one must not keep the others from firing
            self._log_failure(due, failure)
            pause = LOST_RETRY_AFTER if isinstance(failure, TimerLost) else RETRY_AFTER
            self.timers.postpone([due], time.time() + pause)
            return
        self._finish(due)

    async def _deliver(self, due: Due) -> None:
        """Publish the record of a timer, or the dead letter of a refused one; nothing if it was cleared."""
        if due.content == CLEARED:
            return
        if (refused := self._refused.get((due.place, due.id))) is None:
            await publish(self.parts.broker, [await self._record(due)])
            return
        record, why = refused
        await write_dead_letter(
            self.parts.broker, record, why, service=TIMEKEEPER, attempts=1, metrics=self.parts.metrics
        )

    def _finish(self, due: Due) -> None:
        refused = (due.place, due.id) in self._refused
        if self.timers.has(due):
            self.clear(due.place, due.id)
        if refused or due.content == CLEARED:
            return
        metrics = self.parts.metrics
        metrics.timers_fired.inc()
        metrics.timer_lateness.observe(max(0.0, time.time() - due.due))

    def _log_failure(self, due: Due, failure: Exception) -> None:
        """Log the failure, once a minute for all failures of the same kind at one topic."""
        topic, now = due.topic, time.monotonic()
        kind = topic, type(failure).__name__
        if now - self._logged.get(kind, -LOG_EVERY) < LOG_EVERY:
            return
        self._logged[kind] = now
        log.warning("timer_delivery_failed", timer=due.id, topic=topic, error=repr(failure))

    async def _record(self, due: Due) -> Record:
        """Return the record of a timer. Raises KafkaError and TimerLost."""
        content = due.content
        if content is None:
            content = await self.lookup.value(due.place, due.offset, due.id)
        if content is None:
            raise TimerLost(f"{due.place.topic} does not hold offset {due.offset} of partition {due.place.partition}")
        return fire(TimerSet.read(content), due.id, self.parts.settings.topic_prefix)

    async def _sleep(self) -> None:
        """Sleep until the next timer is due, or a timer changes."""
        next_due = self.timers.next_due()
        pause = LONGEST_SLEEP if next_due is None else min(max(0.0, next_due - time.time()), LONGEST_SLEEP)
        self.changed.clear()
        try:
            async with asyncio.timeout(pause):
                await self.changed.wait()
        except TimeoutError:
            return


def main() -> None:
    """Serve until asked to stop."""
    given, _ = read_configuration(ServiceSettings)
    settings = given.model_copy(update={"seal": False})  # it has no keys: records come to it sealed
    parts = connect(TIMEKEEPER, settings, relist=RELIST)
    pattern = tables(settings.topic_prefix)
    eraser, stops, lookup = TombstoneWriter(settings), KillSwitch(settings), Lookup(settings)
    keeper = Timekeeper(parts, Timers(), eraser, asyncio.Event(), stops, lookup)
    parts.metrics.timers_waiting.set_function(lambda: len(keeper.timers))
    consumer = TableConsumer(parts.broker, pattern, settings.topic_prefix + parts.name, keeper, settings)

    async def closing() -> None:
        await eraser.close()
        await lookup.close()

    serve_table(parts, consumer, background=[keeper.fire, stops.follow], opening=eraser.start, closing=closing)
