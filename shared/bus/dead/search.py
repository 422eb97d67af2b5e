"""Search for dead letters in Kafka, newest first, with the action taken on each."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition

from schemas.api.dead_letters import DeadLetterSummary, Search, SearchResult
from schemas.dead import DeadLetterHandled
from shared.bus.admin.topic_reader import TopicReader
from shared.bus.dead.actions import Actions
from shared.bus.dead.letters import DeadLetter, read_dead_letter
from shared.bus.dead_letter import SUFFIX
from shared.errors import TerminalError

MOST = 5_000
"""Records of one partition that a search examines."""

WITHIN = 8.0
"""Seconds after which a search starts no further read."""

_CHUNK, _LARGEST_CHUNK = 250, 1_000
"""Records per read, backwards from the newest and growing: short lists read little, long ones take few reads."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters in Kafka. Calls wait while Kafka is unavailable: set a time limit."""

    reader: TopicReader
    actions: Actions

    @classmethod
    def from_reader(cls, reader: TopicReader) -> "DeadLetters":
        """Return the dead letters the reader can see."""
        return cls(reader, Actions(reader))

    async def find(self, name: str) -> tuple[DeadLetter, DeadLetterHandled | None]:
        """Return the letter and the action taken on it. Raises TerminalError `unknown_dead_letter`."""
        partition, offset = self._place(name)
        first, end = await self.reader.bounds(partition)
        if first <= offset < end:
            for record in [record async for record in self.reader.between(partition, offset, offset + 1)]:
                letter = read_dead_letter(record, self.reader.prefix)
                await self.actions.refresh()
                return letter, self.actions.on(letter)
        raise _unknown(name, f"Kafka holds {partition.topic} from {first} up to {end}, without it")

    async def search(self, wanted: Search) -> SearchResult:
        """Return the newest matches. Examines at most MOST records per partition, for about WITHIN seconds."""
        await self.actions.refresh()
        stop = time.monotonic() + WITHIN
        found, passed_over = list[DeadLetterSummary](), 0
        for partition in self._searched(wanted.topic):
            lines, left = await self._newest(partition, wanted, stop)
            found += lines
            passed_over += left
        found.sort(key=lambda line: (line.at, parse_name(line.name)), reverse=True)
        complete = passed_over == 0 and len(found) <= wanted.limit
        return SearchResult(letters=found[: wanted.limit], complete=complete, not_looked_at=passed_over)

    async def _newest(
        self, partition: TopicPartition, wanted: Search, stop: float
    ) -> tuple[list[DeadLetterSummary], int]:
        """Return matches until there are enough, and the number of records not examined."""
        first, end = await self._window(partition, wanted)
        floor, lines, chunk = max(first, end - MOST), list[DeadLetterSummary](), _CHUNK
        while end > floor and len(lines) <= wanted.limit and time.monotonic() < stop:
            start = max(floor, end - chunk)
            lines += [line async for line in self._lines(partition, start, end) if _fits(line, wanted)]
            end, chunk = start, min(2 * chunk, _LARGEST_CHUNK)
        return lines, end - first

    async def _window(self, partition: TopicPartition, wanted: Search) -> tuple[int, int]:
        first, end = await self.reader.bounds(partition)
        if wanted.since and first < end:
            first = max(first, await self.reader.from_time(partition, wanted.since) or first)
        if wanted.until and first < end:
            after = await self.reader.from_time(partition, wanted.until)
            end = end if after is None else max(first, after)
        return first, end

    async def _lines(self, partition: TopicPartition, start: int, end: int) -> AsyncIterator[DeadLetterSummary]:
        async for record in self.reader.between(partition, start, end):
            letter = read_dead_letter(record, self.reader.prefix)
            yield summary_of(letter, self.actions.on(letter))

    def _searched(self, topic: str | None) -> list[TopicPartition]:
        """Return the partitions to search. Raises TerminalError `unknown_topic` that lists the existing topics."""
        dead = {name: each for name, each in sorted(self.reader.partitions.items()) if name.endswith(SUFFIX)}
        if topic is None:
            return [partition for partitions in dead.values() for partition in partitions]
        name = topic if topic.endswith(SUFFIX) else topic + SUFFIX
        if name not in dead:
            there_are = ", ".join(each.removesuffix(SUFFIX) for each in dead)
            raise TerminalError(
                f"there is no dead-letter topic for `{topic}`; there are: {there_are}", code="unknown_topic"
            )
        return list(dead[name])

    def _place(self, name: str) -> tuple[TopicPartition, int]:
        topic, partition, offset = parse_name(name)
        for each in self.reader.partitions.get(topic, ()):
            if each.partition == partition:
                return each, offset
        raise _unknown(name, f"there is no partition {partition} of a topic {topic}")


def parse_name(name: str) -> tuple[str, int, int]:
    """Return topic, partition and offset. Raises TerminalError `unknown_dead_letter` for a malformed name."""
    topic, _, place = name.partition("/")
    partition, _, offset = place.partition("/")
    if not (topic.endswith(SUFFIX) and partition.isdecimal() and offset.isdecimal()):
        raise _unknown(name, "a name is <topic>.dlt/<partition>/<offset>, such as tasks.dlt/0/17")
    return topic, int(partition), int(offset)


def summary_of(letter: DeadLetter, handled: DeadLetterHandled | None) -> DeadLetterSummary:
    """Return the letter as a list shows it."""
    notes = letter.notes
    return DeadLetterSummary(
        name=letter.name,
        topic=letter.origin,
        at=letter.at,
        error=notes.get("dlt-error", ""),
        message=notes.get("dlt-message", ""),
        attempts=notes.get("dlt-attempts", ""),
        tenant=letter.tenant,
        size=len(letter.value),
        came_from=letter.came_from,
        state=handled.action if handled else "open",
        handled=handled,
        run_id=letter.run_id,
        trace_id=letter.trace_id,
    )


def _fits(line: DeadLetterSummary, wanted: Search) -> bool:
    return (
        wanted.state in {"any", line.state}
        and wanted.error in {None, line.error}
        and wanted.tenant in {None, line.tenant}
        and _within(line.at, wanted)
    )


def _within(at: datetime, wanted: Search) -> bool:
    return (wanted.since is None or at >= wanted.since) and (wanted.until is None or at < wanted.until)


def _unknown(name: str, why: str) -> TerminalError:
    return TerminalError(f"there is no dead letter `{name}`: {why}", code="unknown_dead_letter")
