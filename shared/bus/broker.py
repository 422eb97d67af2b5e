"""Connection to Kafka, and subscriptions in batches with manual acknowledgement."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from aiokafka import ConsumerRecord
from aiokafka.abc import ConsumerRebalanceListener
from faststream import AckPolicy
from faststream.exceptions import IncorrectState
from faststream.kafka import KafkaBroker, KafkaMessage

from shared.bus.keyring import Keyring
from shared.bus.reader import Reader
from shared.bus.security import security
from shared.config import Settings

LARGEST_RECORD = 9 * 1_048_576
"""Bytes of a batch on a dead-letter topic: a dead letter is larger than its record by its headers."""

POLL_MS = 5
"""Milliseconds FastStream sleeps after a poll without records."""

IDLE_MS = 1_000
"""Milliseconds a subscriber waits for records, which end the wait."""


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
