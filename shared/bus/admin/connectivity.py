"""Connectivity check: Kafka is reachable and accepts our credentials."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.bus.security import connection, secured
from shared.config import Settings
from shared.errors import Misconfigured
from shared.system.refusals import tls_refusal

_ANSWER_WITHIN_MS = 5_000
"""Milliseconds one server may take to accept a connection."""

_PAUSE = 0.5
"""Seconds between attempts."""


async def await_kafka(settings: Settings, within: float) -> None:
    """Return when Kafka answers.

    Raises Misconfigured immediately if it rejects our credentials or TLS fails, and ConnectionError with advice on what
    to check after `within` seconds.
    """
    deadline = time.monotonic() + within
    with _quiet():
        while (why := await _failure(settings)) is not None:
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"no Kafka at {settings.kafka} within {within:g} s ({why}): is it running, is WAGGLE_KAFKA right, "
                    "does that port speak WAGGLE_KAFKA_SECURITY_PROTOCOL?"
                )
            await asyncio.sleep(_PAUSE)


async def _failure(settings: Settings) -> str | None:
    """Return the reason Kafka does not answer; None if it does. Raises Misconfigured."""
    why = "nothing answers"
    for host, port, _ in collect_hosts(settings.kafka.split(",")):
        try:
            await _connect(settings, host, port)
            return await _metadata_failure(settings)
        except (KafkaError, OSError, TimeoutError) as error:
            if refused := _refusal(error, f"Kafka at {host}:{port}"):
                raise Misconfigured(refused) from error
            why = str(error) or type(error).__name__
    return why


async def _connect(settings: Settings, host: str, port: int) -> None:
    """Connect to one server: a client that bootstraps from several does not report why it failed."""
    opened = await create_conn(host, port, request_timeout_ms=_ANSWER_WITHIN_MS, **secured(settings))
    await opened.close()


async def _metadata_failure(settings: Settings) -> str | None:
    client = AIOKafkaClient(**connection(settings), request_timeout_ms=_ANSWER_WITHIN_MS)
    try:
        await client.bootstrap()
    except KafkaError as error:
        return str(error)
    finally:
        await client.close()
    return None


def _refusal(error: BaseException, server: str) -> str | None:
    """Return advice if waiting cannot help; None if it can."""
    match error:
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            return f"{server} refuses the user: WAGGLE_KAFKA_USERNAME or WAGGLE_KAFKA_PASSWORD is wrong"
        case UnsupportedSaslMechanismError():
            return f"{server} does not take this WAGGLE_KAFKA_SASL_MECHANISM; set one that its listener enables"
        case IllegalSaslStateError():
            return f"{server} wants no credentials on this port: WAGGLE_KAFKA_SECURITY_PROTOCOL is wrong"
    return tls_refusal(error, server, "WAGGLE_KAFKA")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence aiokafka's log lines on every attempt; the error is reported once, at the end."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
