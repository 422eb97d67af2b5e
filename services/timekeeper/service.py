"""The timekeeper: one durable service for everything that waits.

The way of a timer: read from the compacted topic `timers` → waits in memory → due → its record is published → its key
is erased from the topic. A crash between the last two lets it fire again: consumers drop repeats by id.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from schemas.timer import TimerSet
from services.timekeeper.timers import Due, Timers
from shared import bus
from shared.bus import Eraser, Raw, Record, TableConsumer, explain, publish, wake
from shared.bus.groups import TABLE
from shared.service import Parts, connect, serve_table
from shared.settings import read_settings

LONGEST_SLEEP = 0.25
"""Seconds: how long a clock that was set forward goes unnoticed."""

AT_ONCE = 500
"""Timers fired in one batch."""

AGAIN_AFTER = 1.0
"""Seconds before timers fire again that Kafka did not take."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """Implements `shared.bus.Table` and fires what is due."""

    parts: Parts
    timers: Timers
    eraser: Eraser
    news: asyncio.Event

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
        while True:
            due = self.timers.due(time.time(), AT_ONCE)
            if due:
                await self._fire(due)
            else:
                await self._sleep()

    async def _fire(self, due: list[Due]) -> None:
        try:
            await publish(self.parts.broker, [self._record(each) for each in due])
            await self.eraser.erase((each.partition, each.id) for each in due)
        except bus.OUTAGES as away:
            log.warning("timers that are due wait for Kafka", timers=len(due), error=repr(away))
            self.timers.again(due, time.time() + AGAIN_AFTER)
            return
        metrics = self.parts.metrics
        for each in due:
            self.timers.clear(each.partition, each.id)
            metrics.timers_fired.inc()
            metrics.timer_lateness.observe(max(0.0, time.time() - each.due))

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
