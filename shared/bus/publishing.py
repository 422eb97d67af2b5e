"""Publishing to Kafka: sealed, acknowledged by all replicas, each record as a span of its trace."""

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)
from faststream.kafka import KafkaBroker

from shared.bus.broker import keyring_of
from shared.bus.keyring import Clear, Keyring
from shared.bus.outages import mapped
from shared.bus.record import Record
from shared.bus.sealing import Sealed
from shared.bus.security import connection
from shared.config import Settings
from shared.errors import TerminalError
from shared.telemetry.sends import SendSpan
from shared.telemetry.traces import send_span, sending

LARGEST_MESSAGE = 8 * 1_048_576 - 4_096
"""Bytes of key, headers and value. Topics take batches of 8 MiB, so that an oversize task can be read and rejected with
a clear error; the rest is Kafka's own overhead per record."""

_NO_CORRELATION = "-"
"""Placeholder: CloudEvents attributes correlate messages; without one FastStream generates 36 bytes for each."""

_BROKEN: tuple[type[Exception], ...] = (
    OutOfOrderSequenceNumber,
    UnknownProducerId,
    InvalidProducerEpoch,
    ProducerFenced,
)
"""Permanent errors of an idempotent producer: its sequence numbers and the broker's have diverged."""

log = structlog.get_logger()


def fits(record: Record) -> bool:
    """Return True if an ordinary topic accepts the record's size."""
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    return size_of(record.key.encode(), record.value.encode(), headers) <= LARGEST_MESSAGE


def size_of(key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes]]) -> int:
    """Return the bytes of a record, to be checked before it is sent.

    A record Kafka rejects leaves a gap in the sequence numbers of an idempotent producer, which then fails permanently.
    """
    return len(key or b"") + len(value) + sum(len(name) + len(each) for name, each in headers)


async def publish(broker: KafkaBroker, records: Sequence[Record]) -> None:
    """Publish all records, sealed, and return when Kafka has acknowledged all.

    Raises TerminalError `too_large` before any is sent, because no retry makes a record smaller; Forgotten if the run
    of one was forgotten; KafkaError for any other failure.
    """
    for record in records:
        if not fits(record):
            raise TerminalError(f"{record.id} is too large for one message of {record.topic}", code="too_large")
    written = await _sealed(keyring_of(broker), records)
    spans = [_span(record) for record in records]
    with ending_if_broken():
        futures = []
        for record, sealed, span in zip(records, written, spans, strict=True):
            with span.sending() if span else nullcontext():
                futures.append(await _hand_over(broker, record, sealed))
        await asyncio.gather(*futures)
        for span in filter(None, spans):
            span.end()


async def _hand_over(broker: KafkaBroker, record: Record, sealed: Sealed) -> asyncio.Future[Any]:
    """Hand a record to the producer; return the future of its acknowledgement."""
    sent: asyncio.Future[Any] = await broker.publish(
        sealed.value,
        record.topic,
        key=record.key.encode(),
        headers=sealed.headers,
        correlation_id=_NO_CORRELATION,
        no_confirm=True,
    )
    return sent


async def _sealed(keyring: Keyring, records: Sequence[Record]) -> list[Sealed]:
    """Return headers and values to send. Raises TerminalError `too_large` for a text that does not compress."""
    written = await keyring.sealed([Clear(each.topic, each.key, each.headers, each.value.encode()) for each in records])
    for record, sealed in zip(records, written, strict=True):
        headers = [(name, value.encode()) for name, value in sealed.headers.items()]
        if size_of(record.key.encode(), sealed.value, headers) > LARGEST_MESSAGE:
            raise TerminalError(f"{record.id} is too large for one message of {record.topic}", code="too_large")
    return written


@contextmanager
def ending_if_broken() -> Iterator[None]:
    """End the process if a producer fails permanently in this block: the supervisor restarts it with a new producer.

    Unfinished records are redelivered. Raises KafkaError for every failure that means Kafka is unavailable.
    """
    try:
        with mapped():
            yield
    except _BROKEN:
        log.critical("producer_failed_process_ends")
        os.kill(os.getpid(), signal.SIGTERM)
        raise


def _span(record: Record) -> SendSpan | None:
    """Return the record's send span; None if it is not traced."""
    traceparent = record.headers.get("traceparent", "")
    return send_span(record.topic, traceparent, record.parent, record.links, record.id, record.key)


async def publish_once(settings: Settings, *records: Record) -> None:
    """Publish records in order without a started broker; return when Kafka has acknowledged them."""
    producer, keyring = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True), Keyring(settings)
    try:
        written = await _sealed(keyring, records)
        with mapped():
            async with producer:
                for record, sealed in zip(records, written, strict=True):
                    headers = [(name, value.encode()) for name, value in sealed.headers.items()]
                    await producer.send_and_wait(record.topic, sealed.value, key=record.key.encode(), headers=headers)
    finally:
        await keyring.close()


async def publish_bytes(
    broker: KafkaBroker, topic: str, key: bytes | None, value: bytes, headers: dict[str, str]
) -> None:
    """Publish raw bytes, sealed, with the current trace context. Raises Forgotten and KafkaError."""
    [sealed] = await keyring_of(broker).sealed([Clear(topic, (key or b"").decode(errors="replace"), headers, value)])
    with ending_if_broken(), sending(topic) as traceparent:
        await broker.publish(sealed.value, topic, key=key, headers=sealed.headers | {"traceparent": traceparent})
