"""Ended runs: all events of a run up to the record of the log that ended it.

Changes read in order are kept in memory until their run ends. Those of a run whose beginning this process has not read,
as after a restart, are read from the run's events in Redis, and from the log itself where Redis no longer has them. The
events are the same in all three places, so that a record delivered once more gives the same memories.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from aiokafka import TopicPartition

from schemas.event import Progressed, RunEvent
from schemas.log import LoggedEvent, RunChanged
from schemas.memory import Source
from shared.blackboard import read_live_events
from shared.bus import decode
from shared.bus.admin.topic_reader import reading
from shared.bus.groups import OBSERVED
from shared.errors import InvalidMessage
from shared.runs import Run
from shared.service import Parts
from shared.service.rebuild.fold import Folded, event_of, fold, leaves_ended

LARGEST = 64 * 1_048_576
"""Bytes of changes kept in memory; those of the runs that were changed longest ago are dropped beyond."""

log = structlog.get_logger()


class Ended(NamedTuple):
    """A run at one of its ends."""

    run: Run
    events: Sequence[RunEvent]
    """Since the run's start, or since its end before this one."""
    partition: int
    offset: int
    turn: int
    """Number of its turn in its session, from 0."""

    def source(self, item: int) -> Source:
        """Return a place within the record that ended the run."""
        return Source(topic=OBSERVED, partition=self.partition, offset=self.offset, item=item)


@dataclass(slots=True)
class _Begun:
    """Changes of a run that has not ended, without a gap from its first."""

    changes: list[RunChanged] = field(default_factory=list)
    size: int = 0

    def take(self, change: RunChanged, size: int) -> bool:
        """Take the next change, or one that is known; return False for any other."""
        if change.number == 1 and (not self.changes or change.at != self.changes[0].at):
            self.changes, self.size = [change], size  # also a new life of a run that had expired
            return True
        last = self.changes[-1] if self.changes else None
        known = last is not None and change.number <= last.number
        if last is None or change.epoch != last.epoch or not (known or change.number == last.number + 1):
            return False
        if not known:
            self.changes.append(change)
            self.size += size
        return True


@dataclass(slots=True)
class EndedRuns:
    """Follows the runs of the log to their ends."""

    parts: Parts
    _begun: OrderedDict[tuple[str, str], _Begun] = field(default_factory=OrderedDict)
    _size: int = 0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def follow(self, record: Any) -> Ended | None:
        """Return the run that this record ended; None if it ended none, or a run that cannot be read.

        Raises InvalidMessage, and what Redis and Kafka raise during an outage.
        """
        change = decode(record, self.parts.settings.topic_prefix).message
        assert isinstance(change, RunChanged), "the run log carries nothing else"
        known = self._take(change, len(record.value or b""))
        if not leaves_ended([change]):
            return None
        self._drop(change)
        changes = known or await self._of_blackboard(change) or await self._of_log(change, record)
        found = fold(changes)
        if not isinstance(found, Folded):
            log.warning("ended_run_unreadable", run=change.run_id, reason=found.why)
            return None
        turn = await self._turn(found.run)
        return Ended(found.run, list(_latest(found.changes)), record.partition, record.offset, turn)

    def _take(self, change: RunChanged, size: int) -> list[RunChanged]:
        """Keep a change that follows those kept; return all up to it, or none if some are not known."""
        name = change.tenant, change.run_id
        begun = self._begun.pop(name, None) or _Begun()
        self._size -= begun.size
        if not begun.take(change, size):
            return []
        self._begun[name] = begun
        self._size += begun.size
        while self._size > LARGEST:
            self._size -= self._begun.popitem(last=False)[1].size
        return [each for each in begun.changes if each.number <= change.number]

    def _drop(self, change: RunChanged) -> None:
        """Forget the changes of a run that has ended; if it is resumed, they are read from the blackboard."""
        if begun := self._begun.pop((change.tenant, change.run_id), None):
            self._size -= begun.size

    async def _of_blackboard(self, last: RunChanged) -> list[RunChanged]:
        """Return the changes up to the last one from the events in Redis; none if some are missing there."""
        numbered: dict[int, list[LoggedEvent]] = {}
        for each in await read_live_events(self.parts.redis, last.tenant, last.run_id):
            number = int(each.id.partition("-")[0])
            if number <= last.number and each.type != Progressed.wire_type():
                numbered.setdefault(number, []).append(LoggedEvent(type=each.type, data=each.data))
        if list(numbered) != list(range(1, last.number + 1)) or len(numbered[last.number]) != len(last.events):
            return []
        return [last.model_copy(update={"number": each, "events": events}) for each, events in numbered.items()]

    async def _of_log(self, last: RunChanged, record: Any) -> list[RunChanged]:
        """Return the run's changes from the log, from its beginning to this record.

        Changes of other runs on the way are kept, too, so that the log is read once after a restart, not once a run.
        """
        async with self._reading:
            if known := self._take(last, 0):  # another run has just had it read
                self._drop(last)
                return known
            return await self._read_log(last, record)

    async def _read_log(self, last: RunChanged, record: Any) -> list[RunChanged]:
        log.info("run_is_read_from_log", run=last.run_id, partition=record.partition, offset=record.offset)
        found: list[RunChanged] = []
        place, prefix = TopicPartition(record.topic, record.partition), self.parts.settings.topic_prefix
        async with reading(self.parts.settings, lambda name: name == OBSERVED, whole=True) as reader:
            first, _ = await reader.bounds(place)
            async for each in reader.between(place, first, record.offset + 1):
                for change in _change_in(each, prefix):
                    if each.key == record.key:
                        found.append(change)
                    else:
                        self._keep(change, len(each.value or b""))
        return found

    def _keep(self, change: RunChanged, size: int) -> None:
        """Keep a change of another run, unless it ended that run."""
        self._take(change, size)
        if leaves_ended([change]):
            self._drop(change)

    async def _turn(self, run: Run) -> int:
        """Return the number of the run's turn: of the turns that it was given of its session."""
        given = run.conversation
        if run.task.session is not None and given is None:
            loaded = await self.parts.runs.load(run.tenant, run.id)
            given = loaded.run.conversation if loaded.run else None
        if given is None:
            return 0
        return given.left_out + len(given.earlier) + len(given.turns) + len(given.in_progress)


def _change_in(record: Any, prefix: str) -> Iterable[RunChanged]:
    """Yield the change in a record, unless it cannot be read."""
    try:
        message = decode(record, prefix).message
    except InvalidMessage:
        return
    if isinstance(message, RunChanged):
        yield message


def _latest(changes: Sequence[RunChanged]) -> Iterable[RunEvent]:
    """Yield the events after the end before the last one."""
    ends = [place for place, each in enumerate(changes) if leaves_ended([each])]
    first = ends[-2] + 1 if len(ends) > 1 else 0
    return (event_of(logged) for each in changes[first:] for logged in each.events)
