"""Kill switch: scopes stopped by operators, in a compacted topic that every process follows.

Stored in Kafka, it survives all restarts and does not need Redis; each replica reads a change as soon as Kafka has it.
Stopped work loses nothing: its messages are parked with the timekeeper and do not block others.
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

LONGEST_WAIT_MS = 5_000
"""Longest wait of an empty fetch: stops are rare, and Kafka replies as soon as one arrives."""

T = TypeVar("T")

log = structlog.get_logger()


class StopScope(NamedTuple):
    """Tenant, agent and run of some work, which an operator may stop by any of them."""

    tenant: str
    agent: str
    run: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all scopes that contain the work."""
        return ("all", f"tenant:{self.tenant}", f"agent:{self.agent}", f"run:{self.run}")


@dataclass(slots=True)
class KillSwitch:
    """Stopped scopes, as far as this process has read them. `follow` must be running."""

    settings: Settings
    _stopped: dict[str, WorkStopped] = field(default_factory=dict)
    _running: dict[asyncio.Task[Any], StopScope] = field(default_factory=dict)
    _cancelled: dict[asyncio.Task[Any], Stopped] = field(default_factory=dict)
    """Work that was cancelled and has not ended yet → the reason."""
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    def __iter__(self) -> Iterator[WorkStopped]:
        """Iterate over all stops in force."""
        return iter(self._stopped.values())

    @property
    def scopes(self) -> frozenset[str] | None:
        """Names of all stopped scopes; None until they have been read."""
        return frozenset(self._stopped) if self._loaded.is_set() else None

    async def wait_loaded(self) -> None:
        """Wait until all stops ordered before this process started have been read."""
        await self._loaded.wait()

    def check(self, scope: StopScope) -> None:
        """Raise Stopped if this work is stopped."""
        if reason := self.reason(scope):
            raise Stopped(reason, scope.names)

    def reason(self, scope: StopScope) -> str | None:
        """Return why this work is stopped; None if it is not."""
        return stop_reason(self._stopped, scope)

    async def unless_stopped(self, scope: StopScope, work: Coroutine[Any, Any, T]) -> T:
        """Return the outcome of the work, which is cancelled when it is stopped. Raises Stopped then.

        Work that is already stopped is not started. Cancelled work stays stopped, even if it is released meanwhile.
        """
        if reason := self.reason(scope):
            work.close()
            raise Stopped(reason, scope.names)
        task = asyncio.ensure_future(work)
        self._running[task] = scope
        try:
            return await task
        except asyncio.CancelledError:
            if _caller_is_cancelled():
                task.cancel()
                raise
            raise self._cancelled.get(task, Stopped("the work was cancelled while running", scope.names)) from None
        finally:
            del self._running[task]
            self._cancelled.pop(task, None)

    async def follow(self) -> None:
        """Read stops and releases, without end. Raises KafkaError if Kafka is unavailable: restart it then."""
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
                    self._apply(read)
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    for record in records:
                        _take(read, record, self.settings.topic_prefix)
        finally:
            await consumer.stop()

    def _apply(self, stopped: dict[str, WorkStopped]) -> None:
        """Put these stops in force, and cancel running work that they cover."""
        self._stopped = stopped
        self._loaded.set()
        for task, scope in self._running.items():
            if task not in self._cancelled and (reason := self.reason(scope)):
                self._cancelled[task] = Stopped(reason, scope.names)
                task.cancel()


def stop_reason(stopped: Mapping[str, WorkStopped], scope: StopScope) -> str | None:
    """Return why this work is stopped while these scopes are; None if it is not."""
    for name in scope.names:
        if stop := stopped.get(name):
            return f"{name} was stopped by {stop.by}: {stop.reason}"
    return None


def _take(stopped: dict[str, WorkStopped], record: Any, prefix: str) -> None:
    """Apply a record of the topic: its key names the scope; a record without a value releases that scope."""
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
    """Return the order in a record; an unreadable one stops its scope as well.

    Raises InvalidMessage for a message of another type, which is not an order to stop.
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


class ScopedSwitch(NamedTuple):
    """Kill switch for the calls of one handoff."""

    stops: KillSwitch
    scope: StopScope

    @property
    def reason(self) -> str | None:
        """Return why the handoff is stopped; None if it is not."""
        return self.stops.reason(self.scope)

    def check(self) -> None:
        """Raise Stopped if the handoff is stopped."""
        self.stops.check(self.scope)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the outcome of the work, which is cancelled when it is stopped. Raises Stopped then."""
        return await self.stops.unless_stopped(self.scope, work)


def _caller_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
