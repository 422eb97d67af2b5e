"""The kill switch: what operators have stopped, in a compacted topic that every process follows by itself.

Kafka keeps it, so it outlives restarts of everything and needs no Redis; each replica knows of a change as soon as
Kafka has it. What is stopped loses nothing: its messages are parked with the timekeeper, and hold up nobody else.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import structlog

from schemas.stop import WorkStopped
from shared.bus.reader import Reader
from shared.bus.record import decode
from shared.bus.security import connection
from shared.config import Settings
from shared.errors import InvalidMessage, Stopped

TOPIC = "stops"

LONGEST_WAIT_MS = 200
"""How long Kafka may hold an empty fetch. Kafka answers at once when something comes, the embedded broker does not."""

T = TypeVar("T")

log = structlog.get_logger()


class Whose(NamedTuple):
    """Whom some work is for, and who does it."""

    tenant: str
    agent: str
    run: str

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every scope that it can be stopped by."""
        return ("all", f"tenant:{self.tenant}", f"agent:{self.agent}", f"run:{self.run}")


@dataclass(slots=True)
class Stops:
    """What is stopped, as far as this process has read. `follow` must be running."""

    settings: Settings
    _stopped: dict[str, WorkStopped] = field(default_factory=dict)
    _running: dict[asyncio.Task[Any], Whose] = field(default_factory=dict)
    _cancelled: dict[asyncio.Task[Any], Stopped] = field(default_factory=dict)
    """Running work that was stopped and has not ended yet, and why."""
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    def __iter__(self) -> Iterator[WorkStopped]:
        """Everything that is stopped."""
        return iter(self._stopped.values())

    @property
    def scopes(self) -> frozenset[str] | None:
        """Every scope that is stopped; None while that is not known."""
        return frozenset(self._stopped) if self._loaded.is_set() else None

    async def loaded(self) -> None:
        """Return when everything has been read that was stopped before this process began."""
        await self._loaded.wait()

    def check(self, whose: Whose) -> None:
        """Raises Stopped when this work may not go on."""
        if reason := self.reason(whose):
            raise Stopped(reason, whose.scopes)

    def reason(self, whose: Whose) -> str | None:
        """Why this work may not go on; None when it may."""
        return reason_among(self._stopped, whose)

    async def unless_stopped(self, whose: Whose, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of the work, which is cancelled in the middle when it is stopped. Raises Stopped then.

        Work that is stopped already is not begun. Work that was cancelled stays stopped though it may go on meanwhile.
        """
        if reason := self.reason(whose):
            work.close()
            raise Stopped(reason, whose.scopes)
        task = asyncio.ensure_future(work)
        self._running[task] = whose
        try:
            return await task
        except asyncio.CancelledError:
            if _caller_is_cancelled():
                task.cancel()
                raise
            raise self._cancelled.get(task, Stopped("the work was cancelled in the middle", whose.scopes)) from None
        finally:
            del self._running[task]
            self._cancelled.pop(task, None)

    async def follow(self) -> None:
        """Read what is stopped, for ever. Raises KafkaError when Kafka is away: begin again then."""
        topic = self.settings.topic_prefix + TOPIC
        consumer = Reader(
            topic,
            **connection(self.settings),
            group_id=None,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=LONGEST_WAIT_MS,
        )
        try:
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
            read: dict[str, WorkStopped] = {}
            while True:
                if all([await consumer.position(each) >= end for each, end in ends.items()]):
                    self._obey(read)
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    for record in records:
                        _take(read, record, self.settings.topic_prefix)
        finally:
            await consumer.stop()

    def _obey(self, stopped: dict[str, WorkStopped]) -> None:
        """From now on this is what is stopped, also in the middle of a call."""
        self._stopped = stopped
        self._loaded.set()
        for task, whose in self._running.items():
            if task not in self._cancelled and (reason := self.reason(whose)):
                self._cancelled[task] = Stopped(reason, whose.scopes)
                task.cancel()


def reason_among(stopped: Mapping[str, WorkStopped], whose: Whose) -> str | None:
    """Return why this work may not go on while these scopes are stopped; None when it may."""
    for scope in whose.scopes:
        if stop := stopped.get(scope):
            return f"{scope} was stopped by {stop.by}: {stop.reason}"
    return None


def _take(stopped: dict[str, WorkStopped], record: Any, prefix: str) -> None:
    """Apply a record of the topic: its key names the scope; without a value, work on that scope may go on."""
    scope = (record.key or b"").decode(errors="replace")
    if not record.value:
        stopped.pop(scope, None)
        return
    try:
        stop = _order(record, prefix)
    except InvalidMessage as wrong:
        log.error("stop_refused", scope=scope, error=str(wrong))  # noqa: TRY400 -- the error says it all
        return
    stopped[scope] = stop
    log.warning("stopped", scope=scope, by=stop.by, reason=stop.reason)


def _order(record: Any, prefix: str) -> WorkStopped:
    """The order in a record; one that cannot be read stops its scope all the same.

    Raises InvalidMessage for another kind of message, which is no order to stop.
    """
    try:
        message = decode(record, prefix).message
    except InvalidMessage as wrong:
        if wrong.code == "wrong_topic":
            raise
        log.exception("stop_unreadable_and_obeyed", offset=record.offset)
        message = None
    if isinstance(message, WorkStopped):
        return message
    scope = (record.key or b"").decode(errors="replace")
    return WorkStopped.model_construct(
        scope=scope, by="unknown", reason="the order is unreadable", at=datetime.now(UTC)
    )


class Switch(NamedTuple):
    """Stands before the calls of one handoff."""

    stops: Stops
    whose: Whose

    @property
    def reason(self) -> str | None:
        """Why it may not go on; None when it may."""
        return self.stops.reason(self.whose)

    def check(self) -> None:
        """Raises Stopped when it may not go on."""
        self.stops.check(self.whose)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of the work, which is cancelled when it is stopped. Raises Stopped then."""
        return await self.stops.unless_stopped(self.whose, work)


def _caller_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
