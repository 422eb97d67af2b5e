"""The timekeeper: one durable service for everything that waits.

The way of a timer: read from a compacted topic of its writer's (`timers`, `retries.<agent>`) → waits in memory → due →
its record is published → its key is erased from the topic. Each goes its way alone: one that cannot be published is due
once more a little later. A crash between the last two lets it fire again: consumers drop repeats by id.

A timer that its writer has cleared, with an empty record under its key, is erased at once and goes nowhere.

What an operator has stopped is parked here, too: such a timer is due as soon as it may go on.

A timer that cannot be read, or that names a topic its writer may not have written to, goes the same way at once, but to
the dead-letter topic.
"""

import asyncio
import time
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition

from schemas.timer import TimerSet
from services.timekeeper.lanes import Lanes
from services.timekeeper.timers import Due, Timers
from shared.bus import Erased, Raw, Record, TableConsumer, TombstoneWriter, decode, fire, publish
from shared.bus.admin import Lookup
from shared.bus.dead_letter import SUFFIX, write_dead_letter
from shared.bus.groups import TIMEKEEPER, tables
from shared.bus.timers import check_target
from shared.config import read_settings
from shared.errors import InvalidMessage
from shared.service import Parts, connect, serve_table
from shared.service.kill_switch import KillSwitch

LONGEST_SLEEP = 0.25
"""Seconds: how long a clock that was set forward goes unnoticed."""

AT_ONCE = 500
"""Timers of one topic that are fired beside each other."""

LOST_AGAIN_AFTER = 60.0
"""Seconds before a timer is looked for again whose record its topic no longer holds."""

AGAIN_AFTER = 1.0
"""Seconds before a timer fires again that could not be put where it belongs."""

SAID_AGAIN_AFTER = 60.0
"""Seconds for which it is not said again that a topic takes no timers for the same reason."""

RELIST = 5.0
"""Seconds after which the topic of an agent that is new is noticed, at the latest."""

RELEASED_AFTER = 0.5
"""Seconds before a record goes back that was parked although nothing of it is stopped: its agent will know soon."""

CLEARED = b""
"""The content of a timer that its writer has cleared: its key is erased, since Kafka compacts nothing else away."""

log = structlog.get_logger()


class TimerLost(Exception):
    """A timer's content is neither in memory nor in the topic."""


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """Implements `shared.bus.Table` and fires what is due."""

    parts: Parts
    timers: Timers
    eraser: TombstoneWriter
    news: asyncio.Event
    stops: KillSwitch
    lookup: Lookup
    _said: dict[tuple[str, str], float] = field(default_factory=dict)
    """(topic, kind of failure) → when it was logged last, by the monotonic clock."""
    _refused: dict[tuple[TopicPartition, str], tuple[Raw, InvalidMessage]] = field(default_factory=dict)
    """Timers on their way to the dead-letter topic, and the reason."""

    def put(self, place: TopicPartition, key: str, record: Raw) -> None:
        """Take a timer that was set; one that may not be delivered is due at once, as a dead letter, or was cleared."""
        self._refused.pop((place, key), None)
        content, offset = record.value or b"", record.offset
        if content == CLEARED:
            self.timers.set(place, key, 0.0, CLEARED, offset=offset)
            self.news.set()
            return
        try:
            timer = self._read(record)
        except InvalidMessage as wrong:
            self._refused[place, key] = record, wrong
            self.timers.set(place, key, 0.0, content, topic=f"{place.topic}{SUFFIX}", offset=offset)
        else:
            due, scopes = self._due_of(timer), timer.parked_by
            self.timers.set(place, key, due, content, topic=timer.topic, offset=offset, parked_by=scopes)
        self.news.set()

    def _due_of(self, timer: TimerSet) -> float:
        """When it is due: what is parked and not stopped goes soon, but not before its agent knows that, too."""
        due, stopped = timer.due.timestamp(), self.stops.scopes
        if timer.parked_by and stopped is not None and stopped.isdisjoint(timer.parked_by):
            return min(due, time.time() + RELEASED_AFTER)
        return due

    def _read(self, record: Raw) -> TimerSet:
        """The timer in a record. Raises InvalidMessage when it, or what waits in it, may not be delivered."""
        prefix = self.parts.settings.topic_prefix
        timer = decode(record, prefix).message
        assert isinstance(timer, TimerSet), "nothing else travels on the topics of timers"
        check_target(timer, record.topic.removeprefix(prefix))
        return timer

    def clear(self, place: TopicPartition, key: str) -> None:
        """A timer has fired, or is not wanted any more."""
        self._refused.pop((place, key), None)
        self.timers.clear(place, key)

    def complete(self, place: TopicPartition) -> None:
        """What is due may fire."""
        self.timers.complete(place)
        log.debug("timers_loaded", topic=place.topic, partition=place.partition, waiting=len(self.timers))
        self.news.set()

    def drop(self, place: TopicPartition) -> None:
        """Forget timers that another replica keeps."""
        for each in [each for each in self._refused if each[0] == place]:
            del self._refused[each]
        self.timers.drop(place)

    async def fire(self) -> None:
        """Put what has become due where it belongs, for ever."""
        async with asyncio.TaskGroup() as group:
            lanes = Lanes(group, self._fire, AT_ONCE)
            while True:
                self.timers.release(self.stops.scopes, time.time())
                due = self.timers.due(time.time(), AT_ONCE)
                for each in due:
                    lanes.add(each.topic, each)
                await (asyncio.sleep(0) if due else self._sleep())

    async def _fire(self, due: Due) -> None:
        """Publish a timer and erase it, if it still waits as it was; if that fails, let it wait once more."""
        if not self.timers.has(due):
            return
        try:
            await self._deliver(due)
            if self.timers.has(due):
                await self.eraser.erase([Erased(due.place.topic, due.id, due.place.partition)])
        except Exception as failure:  # noqa: BLE001 -- whatever is wrong with one must not keep the others from firing
            self._say(due, failure)
            pause = LOST_AGAIN_AFTER if isinstance(failure, TimerLost) else AGAIN_AFTER
            self.timers.again([due], time.time() + pause)
            return
        self._fired(due)

    async def _deliver(self, due: Due) -> None:
        """Publish the record that has waited, or the dead letter of a timer that was refused; nothing if cleared."""
        if due.content == CLEARED:
            return
        if (refused := self._refused.get((due.place, due.id))) is None:
            await publish(self.parts.broker, [await self._record(due)])
            return
        record, why = refused
        await write_dead_letter(
            self.parts.broker, record, why, service=TIMEKEEPER, attempts=1, metrics=self.parts.metrics
        )

    def _fired(self, due: Due) -> None:
        refused = (due.place, due.id) in self._refused
        if self.timers.has(due):
            self.clear(due.place, due.id)
        if refused or due.content == CLEARED:
            return
        metrics = self.parts.metrics
        metrics.timers_fired.inc()
        metrics.timer_lateness.observe(max(0.0, time.time() - due.due))

    def _say(self, due: Due, failure: Exception) -> None:
        """Log the failure, once a minute for all that fail in the same way on their way to one topic."""
        topic, now = due.topic, time.monotonic()
        kind = topic, type(failure).__name__
        if now - self._said.get(kind, -SAID_AGAIN_AFTER) < SAID_AGAIN_AFTER:
            return
        self._said[kind] = now
        log.warning("a due timer cannot fire and is tried again", timer=due.id, topic=topic, error=repr(failure))

    async def _record(self, due: Due) -> Record:
        """Return the record that has waited. Raises KafkaError, and TimerLost."""
        content = due.content
        if content is None:
            content = await self.lookup.value(due.place, due.offset, due.id)
        if content is None:
            raise TimerLost(f"{due.place.topic} does not hold offset {due.offset} of {due.place.partition} any more")
        return fire(TimerSet.read(content), due.id, self.parts.settings.topic_prefix)

    async def _sleep(self) -> None:
        """Until the next one is due, or something changes."""
        next_due = self.timers.next_due()
        pause = LONGEST_SLEEP if next_due is None else min(max(0.0, next_due - time.time()), LONGEST_SLEEP)
        self.news.clear()
        try:
            async with asyncio.timeout(pause):
                await self.news.wait()
        except TimeoutError:
            return


def main() -> None:
    """Serve until asked to stop."""
    settings = read_settings()
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
