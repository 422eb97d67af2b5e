"""Outcome of a delivery: done, retried later, parked or dead-lettered. No failure is swallowed, no record is dropped.

| failure | outcome |
|---|---|
| a shared dependency is unavailable | the record is retried in place; moving it would not help |
| Stopped by an operator | parked: the record leaves its partition and returns when the kill switch is released |
| RetryableError | the record leaves its partition and returns after a delay, with its attempts and their causes |
| TerminalError, or a record that cannot be decoded | dead letter, immediately |
| Forgotten | the record is dropped: its run was forgotten |
| any other exception | treated as a defect: two retries with delays, then dead letter |
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
from shared.bus.dead_letter import CAUSES, write_dead_letter
from shared.bus.groups import TABLE
from shared.bus.parking import parked
from shared.bus.publishing import fits, publish
from shared.bus.record import Delivery, Record, decode, fingerprint, header_map
from shared.bus.shares import OUTSIDE
from shared.bus.timers import delay
from shared.errors import Fenced, Forgotten, RetryableError, Stopped, TerminalError, WaggleError
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
"""Attempts at a delivery whose failure is unclassified."""

MOST_ATTEMPTS = 8
"""Attempts at a delivery whose failures are retryable."""

DEFECT_DELAY = 1.0
"""Seconds before the first retry after a defect, at least."""

LONGEST_DELAY = 60.0
"""Seconds between attempts, at most."""

LONGEST_PAUSE = 5.0
"""Seconds between retries while a shared dependency is unavailable, at most."""

LONGEST_REASON = 2_000
"""Characters of a defect's text that are kept."""


class RetryInPlace(WaggleError):
    """A stopped record that cannot be parked and is retried in place."""

    code = "stopped"
    after = 0.5


class AttemptStore(Protocol):
    """Delivery attempts of records from outside, kept where their senders cannot write."""

    async def put_back(self, fingerprint: str, attempt: int, after: float) -> None:
        """Record that the record returns for this attempt in `after` seconds."""
        ...

    async def trusted_attempt(self, fingerprint: str, claimed: int) -> int:
        """Return the attempt a record claims, capped at the attempt that was scheduled for it."""
        ...


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Decodes each record, passes it to `handle`, and handles every failure."""

    broker: KafkaBroker
    service: str
    prefix: str
    handle: Callable[[Delivery], Awaitable[None]]
    on_dead: Callable[[Any, WaggleError], Awaitable[None]]
    """Called with every dead-lettered record and the reason, to notify its sender."""
    outages: tuple[type[Exception], ...]
    """Exceptions that mean a shared dependency is unavailable."""
    ready: Callable[[], Awaitable[None]]
    """Returns when the dependencies are ready."""
    metrics: Metrics
    table: str = TABLE
    """Topic of this service's timers, without the prefix."""
    attempts: AttemptStore | None = None
    """Attempts of records written from outside; None if the service consumes no such topic."""

    async def __call__(self, record: Any) -> None:
        """Return when the record is finished. Raises only Fenced and cancellation."""
        await self.through_outages(record, self._timed)

    async def through_outages(self, record: Any, work: Callable[[Any], Awaitable[None]]) -> None:
        """Run `work` on the record, repeating it for as long as a shared dependency is unavailable."""
        pauses = 0
        waits: tuple[type[Exception], ...] = (RetryInPlace, *self.outages)
        while True:
            await self.ready()
            try:
                return await work(record)
            except waits as outage:
                pauses += 1
                self.metrics.outages.labels(record.topic).inc()
                pause = getattr(outage, "after", min(0.1 * 2**pauses, LONGEST_PAUSE))
                if pauses == 1:
                    log.warning(
                        "dependency_unavailable", topic=record.topic, offset=record.offset, error=repr(outage), **SELDOM
                    )
                await asyncio.sleep(pause)

    async def _timed(self, record: Any) -> None:
        began = time.monotonic()
        try:
            await self._attempt(record)
        except Forgotten as forgotten:
            self.metrics.forgotten_records.labels(record.topic).inc()
            log.info("record_of_forgotten_run_dropped", topic=record.topic, offset=record.offset, reason=str(forgotten))
        self.metrics.delivery_seconds.labels(record.topic).observe(time.monotonic() - began)

    async def _attempt(self, record: Any) -> None:
        with self._processing(record) as span:
            attempt = 1
            try:
                delivery = decode(record, self.prefix)
                attempt = await self._trusted_attempt(record, delivery.envelope.attempt)
                delivery = delivery.tried(attempt)
                logs.bind_message(delivery.message)
                tenant, run = (getattr(delivery.message, name, None) for name in ("tenant", "run_id"))
                set_attributes(attempt=attempt, tenant=tenant, run=run)
                await self.handle(delivery)
            except (Fenced, Forgotten):
                raise
            except self.outages:
                raise
            except Stopped as stopped:
                await self._park(record, stopped, delivery.message)
                span_failed(span, stopped.code, str(stopped))
            except Exception as failure:  # noqa: BLE001 -- every failure is handled by its class
                await self._handle_failure(record, failure, attempt)
                span_failed(span, getattr(failure, "code", type(failure).__qualname__), str(failure))

    async def _trusted_attempt(self, record: Any, claimed: int) -> int:
        """Return the number of this attempt. The header is untrusted on topics written from outside."""
        outside = record.topic.removeprefix(self.prefix) in OUTSIDE
        if claimed == 1 or not outside or self.attempts is None:
            return claimed
        return await self.attempts.trusted_attempt(fingerprint(record), claimed)

    def _processing(self, record: Any) -> AbstractContextManager[Span]:
        """Return the span of this delivery."""
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
        """Move a stopped record to a timer. Raises RetryInPlace if it is too large to be wrapped in another record."""
        source, now = f"waggle/{self.service}", datetime.now(UTC)
        timer = parked(record, stopped, message, table=self.table, source=source, prefix=self.prefix, now=now)
        if not fits(timer):
            raise RetryInPlace(str(stopped))
        await publish(self.broker, [timer])
        self.metrics.parked.labels(record.topic).inc()
        log.info("record_parked", topic=record.topic, offset=record.offset, reason=str(stopped))

    async def _handle_failure(self, record: Any, failure: Exception, attempt: int) -> None:
        match failure:
            case RetryableError():
                await self._schedule_retry(record, failure, attempt, MOST_ATTEMPTS, failure.after)
            case TerminalError():
                await self._dead_letter(record, failure, attempt)
            case _:
                log.error("handler_failed", topic=record.topic, offset=record.offset, attempt=attempt, exc_info=failure)
                unclassified = TerminalError(shown(repr(failure))[:LONGEST_REASON], code="defect")
                await self._schedule_retry(record, unclassified, attempt, DEFECT_ATTEMPTS, DEFECT_DELAY)

    async def _schedule_retry(self, record: Any, failure: WaggleError, attempt: int, most: int, after: float) -> None:
        """Move the record to a timer that redelivers it; dead-letter it after `most` attempts.

        The delay is exponential with full jitter and at least `after`; exactly `after` if the failure is `exact`.
        """
        if attempt >= most:
            await self._dead_letter(record, failure, attempt)
            return
        longest = after if getattr(failure, "exact", False) else max(after, min(after * 2**attempt, LONGEST_DELAY))
        pause = random.uniform(after, longest)  # noqa: S311 -- jitter
        due = datetime.now(UTC) + timedelta(seconds=pause)
        name = fingerprint(record)
        retry = _next_attempt(record, failure, attempt)
        timer = delay(
            retry,
            due,
            table=self.table,
            id=f"{name}/{attempt + 1}",
            source=f"waggle/{self.service}",
            prefix=self.prefix,
            now=datetime.now(UTC),
        )
        if not fits(timer):  # wrapped in a timer a record is larger
            await self._dead_letter(record, failure, attempt)
            return
        if self.attempts is not None and record.topic.removeprefix(self.prefix) in OUTSIDE:
            await self.attempts.put_back(name, attempt + 1, pause)
        await publish(self.broker, [timer])
        self.metrics.retries.labels(record.topic, self.metrics.error(failure.code)).inc()
        log.warning("retry_scheduled", topic=record.topic, offset=record.offset, attempt=attempt, error=str(failure))

    async def _dead_letter(self, record: Any, error: WaggleError, attempts: int) -> None:
        """Write a dead letter and notify the sender."""
        metrics, service = self.metrics, self.service
        await write_dead_letter(self.broker, record, error, service=service, attempts=attempts, metrics=metrics)
        await self.through_outages(record, lambda dead: self._notify_sender(dead, error))

    async def _notify_sender(self, record: Any, error: WaggleError) -> None:
        """Notify the sender. A defect in doing so must not cause a second dead letter."""
        try:
            await self.on_dead(record, error)
        except (Fenced, Forgotten):
            raise
        except self.outages:
            raise
        except Exception:  # logged only: raising it would dead-letter the record repeatedly
            log.exception("dead_letter_notification_failed", topic=record.topic, offset=record.offset)


def _next_attempt(record: Any, failure: WaggleError, attempt: int) -> Record:
    """Return the record as its next attempt, with the failure added to its causes."""
    headers = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    causes = [*_causes(headers), f"{failure.code}: {failure}"[:500]]
    id = headers[HEADER["id"]]
    place = f"{id}/{attempt + 1}"
    trace = trace_for_retry(headers.get("traceparent", ""), place) or trace_for_retry(current_traceparent(), place)
    counted = {HEADER["attempt"]: str(attempt + 1), CAUSES: json.dumps(causes)}
    return Record(
        id=id,
        topic=record.topic,
        key=(record.key or b"").decode(errors="replace"),
        headers=headers | counted | {"traceparent": trace},
        value=(record.value or b"").decode(errors="replace"),
    )


def _causes(headers: Mapping[str, str]) -> list[Any]:
    """Return the earlier failures; empty if the header cannot be read, as it is untrusted."""
    try:
        found = from_json(headers.get(CAUSES, "[]"))
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    log.warning("retry_causes_unreadable", header=CAUSES, id=headers[HEADER["id"]])
    return []
