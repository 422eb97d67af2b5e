"""Access to Kafka: publishing with acknowledgement, and subscribing in batches with manual acknowledgement."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    InvalidProducerEpoch,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)
from faststream import AckPolicy
from faststream.exceptions import IncorrectState
from faststream.kafka import KafkaBroker, KafkaMessage

from shared.bus.keyring import Clear, Keyring
from shared.bus.outages import mapped
from shared.bus.reader import Reader
from shared.bus.record import Record
from shared.bus.sealing import Sealed
from shared.bus.security import connection, security
from shared.config import Settings
from shared.errors import TerminalError
from shared.telemetry.sends import SendSpan
from shared.telemetry.traces import send_span, sending

LARGEST_MESSAGE = 8 * 1_048_576 - 4_096
"""Bytes of key, headers and value. Topics take batches of 8 MiB, so that an oversize task can be read and rejected with
a clear error; the rest is Kafka's own overhead per record."""

LARGEST_RECORD = 9 * 1_048_576
"""Bytes of a batch on a dead-letter topic: a dead letter is larger than its record by its headers."""

_NO_CORRELATION = "-"
"""Placeholder: CloudEvents attributes correlate messages; without one FastStream generates 36 bytes for each."""

_BROKEN: tuple[type[Exception], ...] = (
    OutOfOrderSequenceNumber,
    UnknownProducerId,
    InvalidProducerEpoch,
    ProducerFenced,
)
"""Permanent errors of an idempotent producer: its sequence numbers and the broker's have diverged."""

POLL_MS = 5
"""Milliseconds FastStream sleeps after a poll without records."""

IDLE_MS = 1_000
"""Milliseconds a subscriber waits for records, which end the wait."""

log = structlog.get_logger()

RELIST = 300.0
"""Seconds between refreshes of topic metadata: aiokafka's default."""

_PING_PAUSE = 0.3
"""Seconds between two attempts to reach Kafka."""


class _Broker(KafkaBroker):
    """Broker whose subscribers read through a Reader."""

    keyring: Keyring
    """Keys under which records are sealed and opened."""

    async def _connect(self) -> Callable[..., Reader]:
        built = await super()._connect()
        assert isinstance(built, partial), "FastStream returns the class with the connection's options"
        self.config.broker_config.builder = reader = partial(
            Reader, keyring=self.keyring, idle_ms=IDLE_MS, **built.keywords
        )
        return reader

    async def stop(self, *error: Any) -> None:
        """Close the connections, that of the keys among them."""
        await super().stop(*error)
        await self.keyring.close()

    async def ping(self, timeout: float | None) -> bool:  # noqa: ASYNC109 -- FastStream's signature
        """Return True if Kafka answers within `timeout` seconds.

        Requests only the list of servers: FastStream's own ping lists every topic of the cluster, and the gateway pings
        before each record it accepts.
        """
        with suppress(TimeoutError, IncorrectState):
            async with asyncio.timeout(timeout):
                return await self._answers()
        return False

    async def _answers(self) -> bool:
        """Return True once Kafka has answered. Raises IncorrectState when this broker is not started."""
        while True:
            try:
                await self.config.admin_client.describe_topics([])
            except IncorrectState:
                raise
            except Exception:  # noqa: BLE001 -- any failure may be gone at the next attempt
                await asyncio.sleep(_PING_PAUSE)
            else:
                return True


def connect(settings: Settings, service: str, *, relist: float = RELIST) -> KafkaBroker:
    """Return a broker that publishes idempotently, acknowledged by all replicas.

    A subscription by pattern notices a new topic after `relist` seconds at the latest.
    """
    broker = _Broker(
        settings.kafka.split(","),
        security=security(settings),
        client_id=settings.topic_prefix + service,
        acks="all",
        enable_idempotence=True,
        max_request_size=LARGEST_RECORD,
        allow_auto_create_topics=False,
        metadata_max_age_ms=int(relist * 1_000),
        apply_types=False,
        logger=logging.getLogger("waggle.bus"),
        log_level=logging.DEBUG,
    )
    broker.keyring = Keyring(settings)
    return broker


def keyring_of(broker: KafkaBroker) -> Keyring:
    """Return the keyring of a broker made by `connect`."""
    assert isinstance(broker, _Broker), "`connect` makes every broker"
    return broker.keyring


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


def subscribe(
    broker: KafkaBroker,
    topics: Sequence[str],
    group: str,
    handle: Callable[[Sequence[ConsumerRecord[bytes, bytes]]], Awaitable[None]],
    *,
    settings: Settings,
    listener: ConsumerRebalanceListener,
    pattern: str | None = None,
) -> Callable[[], Reader | None]:
    """Pass batches of raw records to `handle`; only the caller commits offsets.

    `pattern`: a regular expression, instead of `topics`, for topics that may be created later.

    Returns a function that returns the group's consumer, or None while the broker is not started.
    """
    subscriber = broker.subscriber(
        *topics,
        pattern=pattern,
        batch=True,
        group_id=group,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        group_instance_id=settings.instance or None,
        session_timeout_ms=int(settings.session_timeout * 1_000),
        heartbeat_interval_ms=int(settings.session_timeout * 250),
        batch_timeout_ms=POLL_MS,
        max_records=500,
        max_partition_fetch_bytes=LARGEST_RECORD,
        isolation_level="read_committed",
        listener=listener,
        parser=_raw_batch,
        decoder=_undecoded,
    )

    @subscriber
    async def take(message: KafkaMessage) -> None:
        await handle(message.raw_message)

    return lambda: cast("Reader | None", subscriber.consumer)


async def _raw_batch(records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """Leave headers and values undecoded: an invalid record must reach the dead-letter topic byte for byte."""
    return KafkaMessage(body=[record.value or b"" for record in records], raw_message=records, consumer=_NO_CONSUMER)


async def _undecoded(message: Any) -> Any:
    return message


class _NoConsumer:
    """Rejects commits through a message: offsets are committed by partition."""

    async def commit(self) -> None:
        raise AssertionError("offsets are committed by partition")

    def seek(self, partition: Any, offset: int) -> None:  # noqa: ARG002 -- signature of the protocol
        raise AssertionError("offsets are sought by partition")


_NO_CONSUMER = _NoConsumer()
