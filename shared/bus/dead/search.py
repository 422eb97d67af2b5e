"""Finding dead letters in Kafka, the newest first, and what became of them."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from aiokafka import TopicPartition
from pydantic import ConfigDict, Field

from schemas.dead import DeadLetterHandled
from schemas.message import Instant, Part, Slug
from shared.bus.admin.topic_reader import Past
from shared.bus.dead.actions import Actions
from shared.bus.dead.letters import SUFFIX, DeadLetter, read_dead_letter
from shared.errors import TerminalError

MOST = 5_000
"""Records of one partition that one search looks at."""

WITHIN = 8.0
"""Seconds after which a search begins no more reading."""

_CHUNK, _LARGEST_CHUNK = 250, 1_000
"""Records read at once, from the newest backwards, and ever more: a short list reads little, a long one seldom."""

State: TypeAlias = Literal["open", "redriven", "discarded"]


class Search(Part):
    """Which dead letters are wanted: those that fit all that is given. A misspelt filter is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str | None = Field(None, max_length=255, description="The topic they were in, such as `agents.data`.")
    error: str | None = Field(None, max_length=200, description="The error's code, such as `invalid_payload`.")
    tenant: Slug | None = Field(None, description="Whose they are: the payload's `tenant`, else `ce_tenant`.")
    since: Instant | None = Field(None, description="Dead at this time or later.")
    until: Instant | None = Field(None, description="Dead before this time.")
    state: State | Literal["any"] = Field("open", description="What became of them.")
    limit: int = Field(50, ge=1, le=10_000, description="How many at most.")


class DeadLetterLine(Part):
    """A dead letter in a list."""

    name: str = Field(description="`<topic>.dlt/<partition>/<offset>`")
    topic: str = Field(description="The topic it was in, without the prefix.")
    at: Instant
    error: str = Field(description="The error's code; empty when it does not say.")
    message: str
    attempts: str
    tenant: str | None
    size: int = Field(description="Bytes of the payload.")
    came_from: str | None = Field(description="The dead letter it was before it was redriven and failed again.")
    state: State
    handled: DeadLetterHandled | None = Field(description="What became of it, and who did it.")


class Found(Part):
    """What a search found."""

    letters: list[DeadLetterLine] = Field(description="The newest first.")
    complete: bool = Field(description="Whether no more fit: neither the limit nor the bounds of a search cut it.")
    not_looked_at: int = Field(description="Older records that were passed over, for a search reads only so many.")


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters there are. Every call waits for as long as Kafka is away: give it a time limit."""

    past: Past
    actions: Actions

    @classmethod
    def in_the(cls, past: Past) -> "DeadLetters":
        """Those that Kafka holds."""
        return cls(past, Actions(past))

    async def find(self, name: str) -> tuple[DeadLetter, DeadLetterHandled | None]:
        """The letter and what became of it. Raises TerminalError `unknown_dead_letter`."""
        partition, offset = self._place(name)
        first, end = await self.past.held(partition)
        if first <= offset < end:
            for record in [record async for record in self.past.between(partition, offset, offset + 1)]:
                letter = read_dead_letter(record, self.past.prefix)
                await self.actions.refresh()
                return letter, self.actions.on(letter)
        raise _unknown(name, f"Kafka holds {partition.topic} from {first} up to {end}, without it")

    async def search(self, wanted: Search) -> Found:
        """The newest that fit. At most MOST records of a partition are looked at, and about WITHIN seconds long."""
        await self.actions.refresh()
        stop = time.monotonic() + WITHIN
        found, passed_over = list[DeadLetterLine](), 0
        for partition in self._searched(wanted.topic):
            lines, left = await self._newest(partition, wanted, stop)
            found += lines
            passed_over += left
        found.sort(key=lambda line: (line.at, parse_name(line.name)), reverse=True)
        complete = passed_over == 0 and len(found) <= wanted.limit
        return Found(letters=found[: wanted.limit], complete=complete, not_looked_at=passed_over)

    async def _newest(self, partition: TopicPartition, wanted: Search, stop: float) -> tuple[list[DeadLetterLine], int]:
        """What fits, until there is more than enough, and how many records were not looked at."""
        first, end = await self._window(partition, wanted)
        floor, lines, chunk = max(first, end - MOST), list[DeadLetterLine](), _CHUNK
        while end > floor and len(lines) <= wanted.limit and time.monotonic() < stop:
            start = max(floor, end - chunk)
            lines += [line async for line in self._lines(partition, start, end) if _fits(line, wanted)]
            end, chunk = start, min(2 * chunk, _LARGEST_CHUNK)
        return lines, end - first

    async def _window(self, partition: TopicPartition, wanted: Search) -> tuple[int, int]:
        first, end = await self.past.held(partition)
        if wanted.since and first < end:
            first = max(first, await self.past.from_time(partition, wanted.since) or first)
        if wanted.until and first < end:
            after = await self.past.from_time(partition, wanted.until)
            end = end if after is None else max(first, after)
        return first, end

    async def _lines(self, partition: TopicPartition, start: int, end: int) -> AsyncIterator[DeadLetterLine]:
        async for record in self.past.between(partition, start, end):
            letter = read_dead_letter(record, self.past.prefix)
            yield line_of(letter, self.actions.on(letter))

    def _searched(self, topic: str | None) -> list[TopicPartition]:
        """Where to look. Raises TerminalError `unknown_topic`, naming the topics there are."""
        dead = {name: each for name, each in sorted(self.past.partitions.items()) if name.endswith(SUFFIX)}
        if topic is None:
            return [partition for partitions in dead.values() for partition in partitions]
        name = topic if topic.endswith(SUFFIX) else topic + SUFFIX
        if name not in dead:
            there_are = ", ".join(each.removesuffix(SUFFIX) for each in dead)
            raise TerminalError(
                f"no dead letters are kept of a topic `{topic}`, but of: {there_are}", code="unknown_topic"
            )
        return list(dead[name])

    def _place(self, name: str) -> tuple[TopicPartition, int]:
        topic, partition, offset = parse_name(name)
        for each in self.past.partitions.get(topic, ()):
            if each.partition == partition:
                return each, offset
        raise _unknown(name, f"there is no partition {partition} of a topic {topic}")


def parse_name(name: str) -> tuple[str, int, int]:
    """Topic, partition and offset. Raises TerminalError `unknown_dead_letter` for what cannot be a name."""
    topic, _, place = name.partition("/")
    partition, _, offset = place.partition("/")
    if not (topic.endswith(SUFFIX) and partition.isdecimal() and offset.isdecimal()):
        raise _unknown(name, "a name is <topic>.dlt/<partition>/<offset>, such as tasks.dlt/0/17")
    return topic, int(partition), int(offset)


def line_of(letter: DeadLetter, handled: DeadLetterHandled | None) -> DeadLetterLine:
    """The letter in a list."""
    notes = letter.notes
    return DeadLetterLine(
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
    )


def _fits(line: DeadLetterLine, wanted: Search) -> bool:
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
