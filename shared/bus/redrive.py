"""Looking at dead letters, and putting them back where they came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.dead import DeadLetterHandled
from schemas.message import Instant, Part
from shared.bus.broker import LARGEST_RECORD
from shared.bus.dead_letters import REDRIVEN_BY, REDRIVEN_FROM, SUFFIX, DeadLetter, dead_letter_of
from shared.bus.history import history
from shared.bus.record import decode, encode
from shared.errors import WaggleError
from shared.telemetry.traces import redriving

ACTIONS = "dead.actions"

FURTHEST = 10_000
"""Records of a partition that are looked at, the newest: older ones are found by name only."""


class AlreadyHandled(WaggleError):
    """Somebody has dealt with this dead letter; doing it again would do something twice."""

    code = "already_handled"


class UnknownDeadLetter(WaggleError):
    """There is no such dead letter (any more)."""

    code = "unknown_dead_letter"


class Wanted(Part):
    """Which dead letters are meant; what is None does not matter."""

    topic: str | None = None
    """Where the record was: `tasks`, `runs`, `agents.data`."""
    error: str | None = None
    tenant: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    handled: bool | None = False
    """False: those nobody has dealt with. None: all."""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether this one is meant."""
        return (
            self.topic in (None, letter.topic)
            and self.error in (None, letter.error)
            and self.tenant in (None, letter.tenant)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and self.handled in (None, letter.handled is not None)
        )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of one installation. Every call may raise KafkaError."""

    bootstrap: str
    prefix: str

    async def find(self, wanted: Wanted, topics: Iterable[str], limit: int) -> list[DeadLetter]:
        """Those that are meant, the newest first, at most `limit`; `topics` may have dead letters."""
        handled = await self.handled()
        names = [topic for topic in topics if wanted.topic in (None, topic)]
        found = [
            letter.model_copy(update={"handled": handled.get(letter.name)})
            for name in names
            for letter in await self._read(name)
        ]
        return sorted(filter(wanted.matches, found), key=lambda each: each.at, reverse=True)[:limit]

    async def get(self, name: str) -> DeadLetter:
        """The one of that name. Raises UnknownDeadLetter."""
        topic, partition, offset = _parts(name)
        async with self._consumer() as consumer:
            place = TopicPartition(self.prefix + topic, partition)
            consumer.assign([place])
            first = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            if not first <= offset < end:
                raise UnknownDeadLetter(f"there is no {name}; the offsets of {topic} go from {first} to {end - 1}")
            consumer.seek(place, offset)
            letter = dead_letter_of(await consumer.getone(place), self.prefix)
        return letter.model_copy(update={"handled": (await self.handled()).get(name)})

    async def handled(self) -> Mapping[str, DeadLetterHandled]:
        """What was dealt with, by name: the last action counts."""
        found: dict[str, DeadLetterHandled] = {}
        async for records in history(self.bootstrap, self.prefix + ACTIONS):
            for record in records:
                action = decode(record).message
                if isinstance(action, DeadLetterHandled):
                    found[action.name] = action
        return found

    async def redrive(self, letter: DeadLetter, *, by: str, now: datetime, reason: str = "") -> None:
        """Put the record back as it was: its id is the same, so that a consumer that did it already does nothing.

        It is put back first and noted after that: if this process ends between the two, putting it back again does
        nothing twice, while a note without the record would be work that is lost.
        Raises AlreadyHandled. The caller sees to it that two do not do this at once.
        """
        _must_be_open(letter)
        with redriving(dict(letter.headers).get("traceparent", b"").decode(errors="replace"), letter.topic) as trace:
            own = {name.lower() for name in (*trace, REDRIVEN_FROM, REDRIVEN_BY)}
            kept = [(name, value) for name, value in letter.headers if name.lower() not in own]
            added = {**trace, REDRIVEN_FROM: letter.name, REDRIVEN_BY: by}
            headers = [*kept, *((name, value.encode()) for name, value in added.items())]
            async with self._producer() as producer:
                await producer.send_and_wait(
                    self.prefix + letter.topic, letter.value, key=letter.key or None, headers=headers
                )
                await self._note(producer, letter, "redriven", by, now, reason)

    async def discard(self, letter: DeadLetter, *, by: str, now: datetime, reason: str) -> None:
        """Note that nobody will deal with it. Raises AlreadyHandled."""
        _must_be_open(letter)
        async with self._producer() as producer:
            await self._note(producer, letter, "discarded", by, now, reason)

    async def _note(
        self, producer: AIOKafkaProducer, letter: DeadLetter, action: str, by: str, now: datetime, reason: str
    ) -> None:
        handled = DeadLetterHandled.model_validate(
            {"name": letter.name, "action": action, "by": by, "at": now, "reason": reason}
        )
        record = encode(
            handled, id=f"{letter.name}/{action}", source="waggle/gateway", prefix=self.prefix, now=now, key=letter.name
        )
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await producer.send_and_wait(record.topic, record.value.encode(), key=record.key.encode(), headers=headers)

    async def _read(self, topic: str) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        async for records in history(self.bootstrap, self.prefix + topic + SUFFIX, last=FURTHEST):
            for record in records:
                try:
                    letters.append(dead_letter_of(record, self.prefix))
                except ValueError:
                    continue  # not one of ours: whoever wrote it there has to know what it is
        return letters

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap.split(","),
            enable_auto_commit=False,
            max_partition_fetch_bytes=2 * LARGEST_RECORD,
        )

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.bootstrap.split(","),
            acks="all",
            enable_idempotence=True,
            max_request_size=LARGEST_RECORD,
        )


def _parts(name: str) -> tuple[str, int, int]:
    topic, _, place = name.partition("/")
    partition, _, offset = place.partition("/")
    if not (topic.endswith(SUFFIX) and partition.isdecimal() and offset.isdecimal()):
        raise UnknownDeadLetter(f"`{name}` names no dead letter: they are called <topic>.dlt/<partition>/<offset>")
    return topic, int(partition), int(offset)


def _must_be_open(letter: DeadLetter) -> None:
    done = letter.handled
    if done is not None:
        raise AlreadyHandled(f"{letter.name} was {done.action} by {done.by} at {done.at:%Y-%m-%d %H:%M:%S %Z}")
