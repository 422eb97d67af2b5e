"""What becomes of one delivery: done, tried again later, or dead-lettered. Nothing is swallowed, nothing is dropped.

| failure | what follows |
|---|---|
| something everybody needs is away | the record waits where it is: no other record would fare better |
| Stopped by an operator | it is parked: it leaves its partition and comes back when it may go on |
| RetryableError | it leaves its partition and comes back after a delay, with its attempts and their causes |
| TerminalError, and what cannot be decoded | dead letter, at once |
| anything else | taken for a defect: tried twice more, with delays, then dead letter |
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from faststream.kafka import KafkaBroker
from opentelemetry.trace import Span
from pydantic_core import from_json

from schemas.envelope import HEADER
from shared.bus.broker import fits, publish
from shared.bus.dead.letters import CAUSES
from shared.bus.dead.writer import bury
from shared.bus.groups import TABLE
from shared.bus.parking import parked
from shared.bus.record import Delivery, Record, decode, fingerprint, header_map
from shared.bus.shares import OUTSIDE
from shared.bus.timers import until
from shared.errors import Fenced, RetryableError, Stopped, TerminalError, WaggleError
from shared.telemetry import logs
from shared.telemetry.conventions import (
    MESSAGING_GROUP,
    MESSAGING_KAFKA_KEY,
    MESSAGING_KAFKA_OFFSET,
    MESSAGING_MESSAGE_ID,
    MESSAGING_PARTITION,
)
from shared.telemetry.logs import SELDOM
from shared.telemetry.metrics import Metrics
from shared.telemetry.propagation import current_traceparent, trace_for_retry
from shared.telemetry.redaction import shown
from shared.telemetry.traces import failed as span_failed
from shared.telemetry.traces import processing, set_attributes

log = structlog.get_logger()

DEFECT_ATTEMPTS = 3
"""How often a delivery is tried whose failure nobody has classified."""

MOST_ATTEMPTS = 8
"""How often a delivery is tried whose failures are all retryable."""

DEFECT_DELAY = 1.0
"""Seconds: the longest wait after a first defect."""

LONGEST_DELAY = 60.0
"""Seconds between tries, at most."""

LONGEST_PAUSE = 5.0
"""Seconds between looks while something everybody needs is away."""

LONGEST_REASON = 2_000
"""Characters of a defect that are passed on."""


class InPlace(WaggleError):
    """A stopped record that cannot be parked waits where it is."""

    code = "stopped"
    after = 0.5


class Attempts(Protocol):
    """Delivery attempts of records from outside, kept where their senders cannot write."""

    async def put_back(self, fingerprint: str, attempt: int, after: float) -> None:
        """Remember that the record returns for this attempt after so many seconds."""
        ...

    async def trusted(self, fingerprint: str, claimed: int) -> int:
        """Return the attempt that a record claims, as far as it was put back for it."""
        ...


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Decodes each record, hands it to `handle`, and deals with whatever goes wrong."""

    broker: KafkaBroker
    service: str
    prefix: str
    handle: Callable[[Delivery], Awaitable[None]]
    on_dead: Callable[[Any, WaggleError], Awaitable[None]]
    """Told of every record that was dead-lettered, with the reason, so that its sender can be told."""
    outages: tuple[type[Exception], ...]
    """Failures that say that something everybody needs is away."""
    ready: Callable[[], Awaitable[None]]
    """Returns when there is use in trying."""
    metrics: Metrics
    table: str = TABLE
    """The topic in which this service has records wait, without the prefix."""
    attempts: Attempts | None = None
    """What is known of the attempts of records from outside; None: nothing is consumed that comes from there."""

    async def __call__(self, record: Any) -> None:
        """Return when the record is dealt with. Raises nothing but Fenced and cancellation."""
        await self._patiently(record, self._timed)

    async def _patiently(self, record: Any, work: Callable[[Any], Awaitable[None]]) -> None:
        """Do something about the record; once more whenever something everybody needs was away."""
        pauses = 0
        waits: tuple[type[Exception], ...] = (InPlace, *self.outages)
        while True:
            await self.ready()
            try:
                return await work(record)
            except waits as away:
                pauses += 1
                self.metrics.outages.labels(record.topic).inc()
                pause = getattr(away, "after", min(0.1 * 2**pauses, LONGEST_PAUSE))
                if pauses == 1:
                    log.warning("delivery_waits", topic=record.topic, offset=record.offset, error=repr(away), **SELDOM)
                await asyncio.sleep(pause)

    async def _timed(self, record: Any) -> None:
        began = time.monotonic()
        await self._once(record)
        self.metrics.delivery_seconds.labels(record.topic).observe(time.monotonic() - began)

    async def _once(self, record: Any) -> None:
        with self._processing(record) as span:
            attempt = 1
            try:
                delivery = decode(record, self.prefix)
                attempt = await self._attempt(record, delivery.envelope.attempt)
                delivery = delivery.tried(attempt)
                logs.bind_message(delivery.message)
                tenant, run = (getattr(delivery.message, name, None) for name in ("tenant", "run_id"))
                set_attributes(attempt=attempt, tenant=tenant, run=run)
                await self.handle(delivery)
            except Fenced:
                raise
            except self.outages:
                raise
            except Stopped as stopped:
                await self._park(record, stopped, delivery.message)
                span_failed(span, stopped.code, str(stopped))
            except Exception as failure:  # noqa: BLE001 -- every failure is dealt with, by its kind
                await self._failed(record, failure, attempt)
                span_failed(span, getattr(failure, "code", type(failure).__qualname__), str(failure))

    async def _attempt(self, record: Any, claimed: int) -> int:
        """The attempt that this is. A header proves nothing on a topic that is written from outside the swarm."""
        outside = record.topic.removeprefix(self.prefix) in OUTSIDE
        if claimed == 1 or not outside or self.attempts is None:
            return claimed
        return await self.attempts.trusted(fingerprint(record), claimed)

    def _processing(self, record: Any) -> AbstractContextManager[Span]:
        """The span of this delivery."""
        key = (record.key or b"").decode(errors="replace")
        headers = header_map(record.headers)
        attributes = {
            MESSAGING_MESSAGE_ID: headers.get(HEADER["id"], b"").decode(errors="replace"),
            MESSAGING_KAFKA_KEY: key,
            MESSAGING_PARTITION: str(record.partition),
            MESSAGING_KAFKA_OFFSET: record.offset,
            MESSAGING_GROUP: self.prefix + self.service,
        }
        return processing(headers, attributes, record.topic)

    async def _park(self, record: Any, stopped: Stopped, message: Any) -> None:
        """Let a stopped record leave its partition. Raises InPlace for one that is too large to be put into another."""
        source, now = f"waggle/{self.service}", datetime.now(UTC)
        timer = parked(record, stopped, message, table=self.table, source=source, prefix=self.prefix, now=now)
        if not fits(timer):
            raise InPlace(str(stopped))
        await publish(self.broker, [timer])
        self.metrics.parked.labels(record.topic).inc()
        log.info("parked", topic=record.topic, offset=record.offset, reason=str(stopped))

    async def _failed(self, record: Any, failure: Exception, attempt: int) -> None:
        match failure:
            case RetryableError():
                await self._later(record, failure, attempt, MOST_ATTEMPTS, failure.after)
            case TerminalError():
                await self._bury(record, failure, attempt)
            case _:
                log.error(
                    "a handler failed", topic=record.topic, offset=record.offset, attempt=attempt, exc_info=failure
                )
                unclassified = TerminalError(shown(repr(failure))[:LONGEST_REASON], code="defect")
                await self._later(record, unclassified, attempt, DEFECT_ATTEMPTS, DEFECT_DELAY)

    async def _later(self, record: Any, failure: WaggleError, attempt: int, most: int, after: float) -> None:
        """Let the record leave its partition and come back; bury it once it has been tried often enough.

        The delay is exponential with full jitter, but never less than the failure itself asks for; or exactly that.
        """
        if attempt >= most:
            await self._bury(record, failure, attempt)
            return
        longest = after if getattr(failure, "exact", False) else max(after, min(after * 2**attempt, LONGEST_DELAY))
        pause = random.uniform(after, longest)  # noqa: S311 -- jitter
        due = datetime.now(UTC) + timedelta(seconds=pause)
        name = fingerprint(record)
        again = _again(record, failure, attempt)
        timer = until(
            again,
            due,
            table=self.table,
            id=f"{name}/{attempt + 1}",
            source=f"waggle/{self.service}",
            prefix=self.prefix,
            now=datetime.now(UTC),
        )
        if not fits(timer):  # a record in a record is larger than it was
            await self._bury(record, failure, attempt)
            return
        if self.attempts is not None and record.topic.removeprefix(self.prefix) in OUTSIDE:
            await self.attempts.put_back(name, attempt + 1, pause)
        await publish(self.broker, [timer])
        self.metrics.retries.labels(record.topic, self.metrics.error(failure.code)).inc()
        log.warning("tried again later", topic=record.topic, offset=record.offset, attempt=attempt, error=str(failure))

    async def _bury(self, record: Any, error: WaggleError, attempts: int) -> None:
        """Write a dead letter, and notify the sender."""
        await bury(self.broker, record, error, service=self.service, attempts=attempts, metrics=self.metrics)
        await self._patiently(record, lambda dead: self._tell(dead, error))

    async def _tell(self, record: Any, error: WaggleError) -> None:
        """A sender that cannot be told must not have the record be buried again and again."""
        try:
            await self.on_dead(record, error)
        except Fenced:
            raise
        except self.outages:
            raise
        except Exception:  # told in the log only: raised, the record would be buried again and again
            log.exception("nobody was told of a dead letter", topic=record.topic, offset=record.offset)


def _again(record: Any, failure: WaggleError, attempt: int) -> Record:
    """The same record, its next attempt, with one more cause."""
    headers = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    causes = [*_causes(headers), f"{failure.code}: {failure}"[:500]]
    id = headers[HEADER["id"]]
    place = f"{id}/{attempt + 1}"
    trace = trace_for_retry(headers.get("traceparent", ""), place) or trace_for_retry(current_traceparent(), place)
    again = {HEADER["attempt"]: str(attempt + 1), CAUSES: json.dumps(causes)}
    return Record(
        id=id,
        topic=record.topic,
        key=(record.key or b"").decode(errors="replace"),
        headers=headers | again | {"traceparent": trace},
        value=(record.value or b"").decode(errors="replace"),
    )


def _causes(headers: Mapping[str, str]) -> list[Any]:
    """Why it failed before; nothing when that cannot be read: anybody may have written it."""
    try:
        found = from_json(headers.get(CAUSES, "[]"))
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    log.warning("why a message failed before cannot be read and is left out", header=CAUSES, id=headers[HEADER["id"]])
    return []
