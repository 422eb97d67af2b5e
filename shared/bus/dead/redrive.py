"""Redriving and discarding dead letters. The operator and the reason are recorded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaProducer

from schemas.dead import DeadLetterHandled
from shared.bus.admin.topic_reader import reading
from shared.bus.broker import LARGEST_RECORD
from shared.bus.dead.actions import ACTIONS
from shared.bus.dead.edits import Edit, edit_of
from shared.bus.dead.letters import DeadLetter, headers_back
from shared.bus.dead.search import DeadLetters
from shared.bus.dead_letter import SUFFIX
from shared.bus.keyring import Clear, Keyring
from shared.bus.publishing import LARGEST_MESSAGE, size_of
from shared.bus.record import encode
from shared.bus.sealing import SEALED
from shared.bus.security import connection
from shared.config import Settings
from shared.errors import Conflict, TerminalError
from shared.telemetry.traces import redriving

log = structlog.get_logger()

WITHIN = 15.0
"""Seconds allowed per dead letter."""

LOCKED_FOR = 2 * WITHIN
"""Seconds after which the lock on a dead letter expires, should its holder crash."""

LetterLock: TypeAlias = Callable[[str], AbstractAsyncContextManager[None]]
"""Lock on the dead letter of that name among all processes. Raises RetryableError `busy`."""


class AlreadyHandled(Conflict):
    """The dead letter has already been redriven or discarded."""

    code = "already_handled"

    def __init__(self, handled: DeadLetterHandled) -> None:
        because = f": {handled.reason}" if handled.reason else ""
        super().__init__(
            f"{handled.name} was {handled.action} by {handled.by} at {handled.at:%Y-%m-%d %H:%M:%S %Z}{because}"
        )
        self.handled = handled


@dataclass(frozen=True, slots=True)
class Redriver:
    """Redrives or discards dead letters, one at a time, each by one operator at a time.

    Order of steps: lock the letter, check that it is open (`dead.actions`), republish it, record the action.
    The action is recorded only once Kafka has acknowledged the republished record, so a letter never counts as redriven
    without having been. A crash in between leaves the letter open. Redriving it a second time is harmless: the record
    keeps its id, and a consumer that has handled it drops the repetition. Recording the intent first would cost one
    more write, and after a crash leave letters in an unknown state, to be redriven a second time anyway. The lock
    expires by itself, later than the time limit of the work under it.

    Every call raises RetryableError `busy` if another operator is working on the letter, TerminalError
    `unknown_dead_letter`, AlreadyHandled, and TimeoutError if Kafka does not answer in time: the outcome is unknown.
    """

    letters: DeadLetters
    producer: AIOKafkaProducer
    lock: LetterLock
    keyring: Keyring

    async def redrive(self, name: str, by: str, reason: str = "", *, again: bool = False) -> DeadLetterHandled:
        """Republish the original bytes, key and headers to the original topic; with `again` also a handled letter.

        Raises TerminalError `not_redrivable` or `too_large` if it cannot be republished.
        """
        async with self._locked(name):
            letter = await self._open(name, again=again)
            await self._republish(letter, by)
            return await self._record(letter, "redriven", by, reason)

    async def edit(
        self,
        name: str,
        value: Mapping[str, Any],
        by: str,
        reason: str,
        *,
        permit: Callable[[DeadLetter], None],
        again: bool = False,
        dry_run: bool = False,
    ) -> tuple[Edit, DeadLetterHandled | None]:
        """Publish an edited payload in place of the original one; in a dry run only check it.

        `permit` raises if the operator may not edit that letter. Raises TerminalError as `redrive` and `edit_of` do.
        """
        async with self._locked(name):
            letter = await self._open(name, again=again)
            permit(letter)
            edit = edit_of(letter, value)
            if dry_run:
                return edit, None
            await self._republish(replace(letter, value=edit.value), by, edit.original)
            return edit, await self._record(letter, "redriven", by, reason, edit)

    async def discard(self, name: str, by: str, reason: str) -> DeadLetterHandled:
        """Discard the letter. It remains in its topic for Kafka's retention time."""
        async with self._locked(name):
            letter = await self._open(name, again=False)
            return await self._record(letter, "discarded", by, reason)

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        async with self.lock(name), asyncio.timeout(WITHIN):
            yield

    async def _open(self, name: str, *, again: bool) -> DeadLetter:
        letter, handled = await self.letters.find(name)
        if handled and not again:
            raise AlreadyHandled(handled)
        if ACTIONS not in self.letters.reader.partitions:
            message = f"the topic {ACTIONS} is missing: the action could not be recorded"
            raise TerminalError(message, code="not_recordable")
        return letter

    async def _republish(self, letter: DeadLetter, by: str, edited_from: str | None = None) -> None:
        partitions = self.letters.reader.partitions.get(letter.origin, ())
        if not partitions:
            raise TerminalError(f"the topic {letter.origin} does not exist", code="not_redrivable")
        prefix = self.letters.reader.prefix
        topic = prefix + letter.origin
        with redriving(topic, letter.notes.get("traceparent", ""), letter.name) as trace:
            headers = headers_back(letter, prefix, by, trace, edited_from)
            if size_of(letter.key, letter.value, headers) > LARGEST_MESSAGE:
                raise TerminalError(f"{letter.name} is too large for {letter.origin}", code="too_large")
            value, headers = await self._sealed(topic, letter, headers)
            partition = _partition(letter, len(partitions))
            await self.producer.send_and_wait(topic, value, letter.key, partition, headers=headers)

    async def _sealed(
        self, topic: str, letter: DeadLetter, headers: list[tuple[str, bytes]]
    ) -> tuple[bytes, list[tuple[str, bytes]]]:
        """Return value and headers to publish, sealed; repeated headers are kept."""
        key = (letter.key or b"").decode(errors="replace")
        named = {name: value.decode(errors="replace") for name, value in headers}
        [sealed] = await self.keyring.sealed([Clear(topic, key, named, letter.value)])
        shown = [each for each in headers if each[0] in sealed.headers and each[0] != SEALED]
        mark = [(SEALED, sealed.headers[SEALED].encode())] if SEALED in sealed.headers else []
        return sealed.value, shown + mark

    async def _record(
        self,
        letter: DeadLetter,
        action: Literal["redriven", "discarded"],
        by: str,
        reason: str,
        edit: Edit | None = None,
    ) -> DeadLetterHandled:
        now = datetime.now(UTC)
        edited = {"edits": edit.fields, "more_edits": edit.more} if edit else {}
        about = {"name": letter.name, "action": action, "by": by, "at": now, "reason": reason, "died": letter.at}
        handled = DeadLetterHandled.model_validate(about | edited)
        record = encode(
            handled,
            id=f"dead-{uuid4().hex}",
            source="waggle/redrive",
            prefix=self.letters.reader.prefix,
            now=now,
            key=letter.name,
        )
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await self.producer.send_and_wait(record.topic, record.value.encode(), record.key.encode(), headers=headers)
        log.info("dead_letter_handled", name=letter.name, action=action, by=by, reason=reason, edited=bool(edit))
        return handled


def _partition(letter: DeadLetter, partitions: int) -> int | None:
    """Return the original partition; None, for the key's default, if that does not exist."""
    original = letter.notes.get("dlt-partition", "")
    return int(original) if original.isdecimal() and int(original) < partitions else None


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """Open the dead letters for reading. Raises KafkaError if Kafka is unavailable."""
    async with reading(settings, lambda topic: topic.endswith(SUFFIX) or topic == ACTIONS) as reader:
        yield DeadLetters.from_reader(reader)


@asynccontextmanager
async def redriver(settings: Settings, lock: LetterLock) -> AsyncIterator[Redriver]:
    """Open a redriver. Raises KafkaError if Kafka is unavailable.

    It has its own producer: FastStream's adds headers, and writes neither raw bytes nor a repeated header name.
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
        keyring = Keyring(settings)
        try:
            await producer.start()
            yield Redriver(letters, producer, lock, keyring)
        finally:
            await producer.stop()
            await keyring.close()
