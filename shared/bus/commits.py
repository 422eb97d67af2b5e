"""Commits of a consumer: the finished offsets of its partitions, whenever their watermarks have risen."""

import time
from collections.abc import Callable, Iterable

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.bus.offsets import OffsetTracker
from shared.bus.reader import Reader

log = structlog.get_logger()


class Commits:
    """Tracks the offsets of the partitions read, and commits them. `reader` returns the consumer, once started."""

    def __init__(self, reader: Callable[[], Reader | None]) -> None:
        self._reader = reader
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._failing_since: float | None = None

    def tracker(self, partition: TopicPartition) -> OffsetTracker:
        """Return the partition's tracker; a new one after it was forgotten."""
        return self._trackers.setdefault(partition, OffsetTracker())

    def is_current(self, partition: TopicPartition, tracker: OffsetTracker) -> bool:
        """Return True unless the partition was revoked since it had this tracker."""
        return self._trackers.get(partition) is tracker

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget revoked partitions."""
        for partition in partitions:
            self._trackers.pop(partition, None)
            self._committed.pop(partition, None)

    def pass_gaps(self) -> None:
        """Count offsets without a record, such as a transaction's end, as finished."""
        if (consumer := self._reader()) is not None:
            for partition in consumer.passed.keys() & consumer.assignment():
                self.tracker(partition).passed(consumer.passed[partition])

    async def commit(self) -> None:
        """Commit the watermarks that have risen. A failed commit is logged once, and retried at the next call."""
        consumer = self._reader()
        risen = self._risen(consumer.assignment()) if consumer is not None else {}
        if not risen or consumer is None:
            return
        try:
            await consumer.commit(risen)
        except KafkaError as refused:
            if self._failing_since is None:
                log.warning("commit_failed", error=repr(refused))
                self._failing_since = time.monotonic()
        else:
            self._committed |= risen
            self._failing_since = None

    def _risen(self, owned: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        marks = {each: self._trackers[each].watermark for each in owned if each in self._trackers}
        return {each: mark for each, mark in marks.items() if mark is not None and mark != self._committed.get(each)}

    @property
    def seconds_failing(self) -> float:
        """Seconds since commits began to fail; 0 while they succeed."""
        return 0.0 if self._failing_since is None else time.monotonic() - self._failing_since

    def lag(self) -> dict[str, int]:
        """Unfinished records per topic, in the partitions read from."""
        consumer, found = self._reader(), dict[str, int]()
        if consumer is None:
            return found
        for partition in consumer.assignment() & self._trackers.keys():
            behind = self._trackers[partition].behind(consumer.highwater(partition) or 0)
            found[partition.topic] = found.get(partition.topic, 0) + behind
        return found

    def age(self) -> dict[str, float]:
        """Seconds per topic since the committable offset last advanced, in the slowest of its partitions."""
        found: dict[str, float] = {}
        for partition, tracker in self._trackers.items():
            found[partition.topic] = max(found.get(partition.topic, 0.0), tracker.commit_age)
        return found
