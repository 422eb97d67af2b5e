"""What is done about dead letters: put back where they were, or given up. By whom and why is recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaProducer

from schemas.dead import DeadLetterHandled
from shared.blackboard import Client, exclusive, keys
from shared.bus.admin.topic_reader import reading
from shared.bus.broker import LARGEST_MESSAGE, LARGEST_RECORD, size_of
from shared.bus.dead.actions import ACTIONS
from shared.bus.dead.letters import SUFFIX, DeadLetter, headers_back
from shared.bus.dead.search import DeadLetters
from shared.bus.record import encode
from shared.bus.security import connection
from shared.config import Settings
from shared.errors import Conflict, TerminalError
from shared.telemetry.traces import redriving

log = structlog.get_logger()

WITHIN = 15.0
"""Seconds one dead letter may take."""

HELD = 2 * WITHIN
"""Seconds after which a dead letter is free again whose operator has died."""


class AlreadyHandled(Conflict):
    """Somebody has redriven or discarded the dead letter before."""

    code = "already_handled"

    def __init__(self, handled: DeadLetterHandled) -> None:
        because = f": {handled.reason}" if handled.reason else ""
        super().__init__(
            f"{handled.name} was {handled.action} by {handled.by} at {handled.at:%Y-%m-%d %H:%M:%S %Z}{because}"
        )
        self.handled = handled


@dataclass(frozen=True, slots=True)
class Redriver:
    """Deals with dead letters, one at a time, each by one operator at a time.

    The order is: hold the letter (Redis), look whether it was handled (`dead.actions`), put it back, record it. It is
    recorded only once Kafka has acknowledged what was put back, so nothing counts as redriven that was not. A crash
    between the two leaves the letter open. Redriving it again is harmless: the record's id is the same, and whoever
    has worked on it drops it. To record the intention first would cost a write each and leave, after a crash, letters
    of which nobody knows whether they were put back; the answer would be to put them back again, as now. The hold ends
    by itself, after all its work must have ended.

    Every call raises RetryableError `busy` when another operator deals with the letter right now, TerminalError
    `unknown_dead_letter`, AlreadyHandled, and TimeoutError when Kafka did not answer in time: it may be done or not.
    """

    letters: DeadLetters
    producer: AIOKafkaProducer
    redis: Client

    async def redrive(self, name: str, by: str, reason: str = "", *, again: bool = False) -> DeadLetterHandled:
        """Put the original bytes, key and headers back on the original topic; `again` also what was handled before.

        Raises TerminalError `not_redrivable` or `too_large` for what cannot be put back.
        """
        async with self._held(name):
            letter = await self._open(name, again=again)
            await self._put_back(letter, by)
            return await self._record(letter, "redriven", by, reason)

    async def discard(self, name: str, by: str, reason: str) -> DeadLetterHandled:
        """Give it up. It stays in its topic for as long as Kafka keeps it."""
        async with self._held(name):
            letter = await self._open(name, again=False)
            return await self._record(letter, "discarded", by, reason)

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[None]:
        async with exclusive(self.redis, keys.dead_letter(name), HELD, name), asyncio.timeout(WITHIN):
            yield

    async def _open(self, name: str, *, again: bool) -> DeadLetter:
        letter, handled = await self.letters.find(name)
        if handled and not again:
            raise AlreadyHandled(handled)
        if ACTIONS not in self.letters.past.partitions:
            message = f"the topic {ACTIONS} is missing: what is done could not be recorded"
            raise TerminalError(message, code="not_recordable")
        return letter

    async def _put_back(self, letter: DeadLetter, by: str) -> None:
        partitions = self.letters.past.partitions.get(letter.origin, ())
        if not partitions:
            raise TerminalError(f"the topic {letter.origin} does not exist any more", code="not_redrivable")
        prefix = self.letters.past.prefix
        topic = prefix + letter.origin
        with redriving(topic, letter.notes.get("traceparent", ""), letter.name) as trace:
            headers = headers_back(letter, prefix, by, trace)
            if size_of(letter.key, letter.value, headers) > LARGEST_MESSAGE:
                raise TerminalError(f"{letter.name} is too large for {letter.origin}", code="too_large")
            place = _partition(letter, len(partitions))
            await self.producer.send_and_wait(topic, letter.value, letter.key, place, headers=headers)

    async def _record(
        self, letter: DeadLetter, action: Literal["redriven", "discarded"], by: str, reason: str
    ) -> DeadLetterHandled:
        now = datetime.now(UTC)
        handled = DeadLetterHandled(name=letter.name, action=action, by=by, at=now, reason=reason, died=letter.at)
        record = encode(
            handled,
            id=f"dead-{uuid4().hex}",
            source="waggle/redrive",
            prefix=self.letters.past.prefix,
            now=now,
            key=letter.name,
        )
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await self.producer.send_and_wait(record.topic, record.value.encode(), record.key.encode(), headers=headers)
        log.info("dead letter handled", name=letter.name, action=action, by=by, reason=reason)
        return handled


def _partition(letter: DeadLetter, partitions: int) -> int | None:
    """The one it was in, whatever put it there; if that is gone its key decides."""
    said = letter.notes.get("dlt-partition", "")
    return int(said) if said.isdecimal() and int(said) < partitions else None


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """Look at dead letters. Raises KafkaError when Kafka is away."""
    async with reading(settings, lambda topic: topic.endswith(SUFFIX) or topic == ACTIONS) as past:
        yield DeadLetters.in_the(past)


@asynccontextmanager
async def redriver(settings: Settings, redis: Client) -> AsyncIterator[Redriver]:
    """Deal with dead letters. Raises KafkaError when Kafka is away.

    Its producer is its own: FastStream's writes headers of its own and cannot write bytes or a name twice.
    """
    async with dead_letters(settings) as letters:
        producer = AIOKafkaProducer(
            **connection(settings),
            client_id=settings.topic_prefix + "redrive",
            acks="all",
            enable_idempotence=True,
            max_request_size=LARGEST_RECORD,
            request_timeout_ms=int(WITHIN * 1000 / 2),
        )
        try:
            await producer.start()
            yield Redriver(letters, producer, redis)
        finally:
            await producer.stop()
