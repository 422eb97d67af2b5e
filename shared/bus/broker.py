"""The one door to Kafka: publishing with acknowledgement, and subscribing in batches with manual acknowledgement."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from opentelemetry.trace import INVALID_SPAN, Span

from shared.bus.outages import mapped
from shared.bus.reader import Reader
from shared.bus.record import Record
from shared.bus.security import connection, security
from shared.config import Settings
from shared.errors import TerminalError
from shared.telemetry.propagation import current_traceparent
from shared.telemetry.traces import send_span, start_send_span

LARGEST_MESSAGE = 8 * 1_048_576 - 4_096
"""Bytes of key, headers and value. Topics take batches of 8 MiB, so that an oversize task can be seen and refused
clearly; the rest is for what Kafka puts around a record."""

LARGEST_RECORD = 9 * 1_048_576
"""Bytes of a batch that a dead-letter topic takes: a dead letter is larger than what it was by its headers."""

_NO_CORRELATION = "-"
"""What correlates messages is in the CloudEvents attributes; left out, FastStream makes up 36 bytes for each."""

_BROKEN: tuple[type[Exception], ...] = (
    OutOfOrderSequenceNumber,
    UnknownProducerId,
    InvalidProducerEpoch,
    ProducerFenced,
)
"""An idempotent producer that is told this will be told it for ever: its numbers and the broker's have parted."""

POLL_MS = 5
"""How long an idle subscriber sleeps between looks: it bounds what batching adds to a hop."""

log = structlog.get_logger()


RELIST = 300.0
"""Seconds after which a client asks again where topics lie: aiokafka's default."""


_PING_PAUSE = 0.3
"""Seconds between two tries to reach Kafka."""


class _Broker(KafkaBroker):
    """A broker whose subscribers read through a Reader."""

    async def _connect(self) -> Callable[..., Reader]:
        built = await super()._connect()
        assert isinstance(built, partial), "FastStream gives the class with the connection's options"
        self.config.broker_config.builder = reader = partial(Reader, **built.keywords)
        return reader

    async def ping(self, timeout: float | None) -> bool:  # noqa: ASYNC109 -- FastStream's signature
        """Whether Kafka answers within so many seconds.

        It is asked for its servers alone: FastStream's own ping lists every topic of the cluster, and is asked before
        each record that the gateway accepts.
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
            except Exception:  # noqa: BLE001 -- whatever kept Kafka from answering, the next try may find it back
                await asyncio.sleep(_PING_PAUSE)
            else:
                return True


def connect(settings: Settings, service: str, *, relist: float = RELIST) -> KafkaBroker:
    """A broker that publishes idempotently, acknowledged by all replicas.

    A subscription by pattern notices a new topic after `relist` seconds at the latest.
    """
    return _Broker(
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


def fits(record: Record) -> bool:
    """Whether an ordinary topic takes it."""
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    return size_of(record.key.encode(), record.value.encode(), headers) <= LARGEST_MESSAGE


def size_of(key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes]]) -> int:
    """Bytes of a record, to be looked at before it is sent.

    One that Kafka refuses leaves a gap in the numbers of an idempotent producer, and Kafka takes nothing from it again.
    """
    return len(key or b"") + len(value) + sum(len(name) + len(said) for name, said in headers)


async def publish(broker: KafkaBroker, records: Sequence[Record]) -> None:
    """Publish all and return when Kafka has acknowledged all.

    Raises TerminalError `too_large`, before any is sent, for a record no retry makes smaller, KafkaError for anything
    else.
    """
    for record in records:
        if not fits(record):
            raise TerminalError(f"{record.id} is too large for one message of {record.topic}", code="too_large")
    sending = [(record, _span(record)) for record in records]
    with ending_if_broken():
        futures = [
            await broker.publish(
                record.value.encode(),
                record.topic,
                key=record.key.encode(),
                headers=record.headers,
                correlation_id=_NO_CORRELATION,
                no_confirm=True,
            )
            for record, _ in sending
        ]
        await asyncio.gather(*futures)
        for _, span in sending:
            span.end()


@contextmanager
def ending_if_broken() -> Iterator[None]:
    """End the process when a producer breaks in this block: its supervisor starts it again, with a new one.

    What is unfinished is redelivered. Raises KafkaError for everything that says that Kafka is unavailable.
    """
    try:
        with mapped():
            yield
    except _BROKEN:
        log.critical("Kafka no longer takes what this producer sends: the process ends, to be started again")
        os.kill(os.getpid(), signal.SIGTERM)
        raise


def _span(record: Record) -> Span:
    """The span of sending it, begun."""
    if record.parent is None:
        return INVALID_SPAN
    traceparent = record.headers.get("traceparent", "")
    return start_send_span(record.topic, traceparent, record.parent, record.links, record.id, record.key)


async def publish_once(settings: Settings, *records: Record) -> None:
    """Publish records, in their order, without a broker that is started; return when Kafka has acknowledged them."""
    producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True)
    with mapped():
        async with producer:
            for record in records:
                headers = [(name, value.encode()) for name, value in record.headers.items()]
                key, value = record.key.encode(), record.value.encode()
                await producer.send_and_wait(record.topic, value, key=key, headers=headers)


async def publish_bytes(
    broker: KafkaBroker, topic: str, key: bytes | None, value: bytes, headers: dict[str, str]
) -> None:
    """Publish bytes as they are, with where that is in the trace, and return when Kafka has acknowledged them."""
    with ending_if_broken(), send_span(topic):
        place = current_traceparent() or headers.get("traceparent", "")
        await broker.publish(value, topic, key=key, headers=headers | {"traceparent": place})


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
    """Hand batches of raw records to `handle`; offsets are committed by the caller alone.

    `pattern`: a regular expression, instead of `topics`, for topics that may be created later.

    Returns a function that gives the group's consumer, or None while the broker is not started.
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
    """Leave headers and values as they are: what cannot be decoded must reach the dead-letter topic byte for byte."""
    return KafkaMessage(body=[record.value or b"" for record in records], raw_message=records, consumer=_NO_CONSUMER)


async def _undecoded(message: Any) -> Any:
    return message


class _NoConsumer:
    """Offsets are committed by partition, never through a message."""

    async def commit(self) -> None:
        raise AssertionError("offsets are committed by partition")

    def seek(self, partition: Any, offset: int) -> None:  # noqa: ARG002 -- the protocol names them
        raise AssertionError("nothing seeks")


_NO_CONSUMER = _NoConsumer()
