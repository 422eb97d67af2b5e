"""The timekeeper: one durable service for everything that waits.

The way of a timer: read from the compacted topic `timers` → waits in memory → due → its record is published → its key
is erased from the topic. Each goes its way alone: one that cannot be published is due once more a little later. A crash
between the last two lets it fire again: consumers drop repeats by id.
"""

import asyncio
import time
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from schemas.timer import TimerSet
from services.timekeeper.lanes import Lanes
from services.timekeeper.timers import Due, Timers
from shared.bus import Eraser, Raw, Record, TableConsumer, explain, publish, wake
from shared.bus.groups import TABLE
from shared.service import Parts, connect, serve_table
from shared.settings import read_settings

LONGEST_SLEEP = 0.25
"""Seconds: how long a clock that was set forward goes unnoticed."""

AT_ONCE = 500
"""Timers of one topic that are fired beside each other."""

AGAIN_AFTER = 1.0
"""Seconds before a timer fires again that could not be put where it belongs."""

SAID_AGAIN_AFTER = 60.0
"""Seconds for which it is not said again that a topic takes no timers for the same reason."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """Implements `shared.bus.Table` and fires what is due."""

    parts: Parts
    timers: Timers
    eraser: Eraser
    news: asyncio.Event
    _said: dict[tuple[str, str], float] = field(default_factory=dict)
    """(topic, kind of failure) → when it was logged last, by the monotonic clock."""

    def put(self, partition: int, key: str, record: Raw) -> None:
        """A timer was set."""
        try:
            timer = TimerSet.read(record.value or b"")
        except ValidationError as wrong:
            log.error("a timer cannot be read and will not fire", timer=key, problems=explain(wrong))  # noqa: TRY400 -- said
            return
        self.timers.set(partition, key, timer.due.timestamp(), record.value or b"")
        self.news.set()

    def clear(self, partition: int, key: str) -> None:
        """A timer has fired, or is not wanted any more."""
        self.timers.clear(partition, key)

    def complete(self, partition: int) -> None:
        """What is due may fire."""
        self.timers.complete(partition)
        log.info("timers are loaded", partition=partition, waiting=len(self.timers))
        self.news.set()

    def drop(self, partition: int) -> None:
        """Somebody else keeps these."""
        self.timers.drop(partition)

    async def fire(self) -> None:
        """Put what has become due where it belongs, for ever."""
        async with asyncio.TaskGroup() as group:
            lanes = Lanes(group, self._fire, AT_ONCE)
            while True:
                due = self.timers.due(time.time(), AT_ONCE)
                for each in due:
                    lanes.add(TimerSet.read(each.content).topic, each)
                await (asyncio.sleep(0) if due else self._sleep())

    async def _fire(self, due: Due) -> None:
        """Publish a timer and erase it, if it still waits as it was; if that fails, let it wait once more."""
        if not self.timers.has(due):
            return
        try:
            await publish(self.parts.broker, [self._record(due)])
            if self.timers.has(due):
                await self.eraser.erase([(due.partition, due.id)])
        except Exception as failure:  # noqa: BLE001 -- whatever is wrong with one must not keep the others from firing
            self._say(due, failure)
            self.timers.again([due], time.time() + AGAIN_AFTER)
            return
        self._fired(due)

    def _fired(self, due: Due) -> None:
        if self.timers.has(due):
            self.timers.clear(due.partition, due.id)
        metrics = self.parts.metrics
        metrics.timers_fired.inc()
        metrics.timer_lateness.observe(max(0.0, time.time() - due.due))

    def _say(self, due: Due, failure: Exception) -> None:
        """Log the failure, once a minute for all that fail in the same way on their way to one topic."""
        topic, now = TimerSet.read(due.content).topic, time.monotonic()
        kind = topic, type(failure).__name__
        if now - self._said.get(kind, -SAID_AGAIN_AFTER) < SAID_AGAIN_AFTER:
            return
        self._said[kind] = now
        log.warning("a due timer cannot fire and is tried again", timer=due.id, topic=topic, error=repr(failure))

    def _record(self, due: Due) -> Record:
        return wake(TimerSet.read(due.content), due.id, self.parts.settings.topic_prefix)

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
    parts = connect("timekeeper", settings)
    topic = settings.topic_prefix + TABLE
    keeper = Timekeeper(parts, Timers(), Eraser(settings, topic), asyncio.Event())
    parts.metrics.timers_waiting.set_function(lambda: len(keeper.timers))
    consumer = TableConsumer(parts.broker, topic, settings.topic_prefix + parts.name, keeper, settings)
    serve_table(parts, consumer, background=[keeper.fire], opening=keeper.eraser.start, closing=keeper.eraser.close)
