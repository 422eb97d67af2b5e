"""Publishes messages and waits for Kafka's acknowledgement."""

import asyncio
from datetime import UTC, datetime

from schemas.message import Message
from schemas.task import Task
from services.gateway.errors import UNANSWERED, Refused, too_large, unavailable
from services.gateway.settings import GatewaySettings
from shared import bus
from shared.access.principals import SIGNED, signing_name
from shared.access.signing import from_secret, signed
from shared.bus.broker import keyring_of
from shared.errors import Forgotten
from shared.service import Parts

SOURCE = "waggle/gateway"
"""CloudEvents source of messages that arrive over HTTP."""

PRESENCE = 3.0
"""Seconds for Kafka to answer a ping before anything is sent."""

ACKNOWLEDGEMENT = 6.0
"""Seconds for Kafka to acknowledge a record."""


UNKNOWN = "outcome_unknown"
"""Code of a failure after which Kafka may have the message."""


async def deliver(parts: Parts, message: Message, *, id: str, run_id: str, authenticated: bool = False) -> None:
    """Publish the message and return when Kafka has acknowledged it. The message continues the trace of the request.

    A message that permits acting calls is signed if the caller was `authenticated`.
    Raises Refused: 413 if the message is larger than services accept, 403 if it must be signed and cannot be, 410 if
    the run was forgotten, 503 if
    Kafka is unavailable: `kafka_unavailable` if nothing was sent, `outcome_unknown` if Kafka may have the message.
    """
    record = bus.encode(
        message,
        id=id,
        source=SOURCE,
        prefix=parts.settings.topic_prefix,
        now=datetime.now(UTC),
        key=run_id,
    )
    if len(record.value.encode()) > parts.settings.max_message_bytes:
        raise too_large(parts.settings.max_message_bytes)
    if type(message) in SIGNED:
        record = _with_authority(record, parts.own_settings(GatewaySettings), authenticated=authenticated)
    await _publish(parts, record, (message.tenant, run_id) if isinstance(message, Task) else None)


def _with_authority(record: bus.Record, settings: GatewaySettings, *, authenticated: bool) -> bus.Record:
    """Return the record, signed for an authenticated caller. Raises Refused 403 if a required signature is missing."""
    if authenticated and settings.signing_key is not None:
        key = from_secret(settings.signing_key.get_secret_value())
        headers = signed(record.headers, record.value.encode(), signing_name("gateway"), key)
        return record.model_copy(update={"headers": headers})
    if settings.unsigned_decisions == "accept":
        return record
    missing = "WAGGLE_SIGNING_KEY" if authenticated else "WAGGLE_KEYS and WAGGLE_SIGNING_KEY"
    message = "decisions must be signed, and this gateway does not sign; nothing was decided"
    raise Refused(403, "unsigned", message, action=f"ask an operator to set {missing} (docs/access.md)")


async def clear(parts: Parts, topic: str, key: str) -> None:
    """Remove a key from a compacted topic. Raises Refused 503 if Kafka is unavailable."""
    eraser = bus.TombstoneWriter(parts.settings)
    try:
        async with asyncio.timeout(ACKNOWLEDGEMENT):
            await eraser.start()
            await eraser.erase([bus.Erased(parts.settings.topic_prefix + topic, key)])
    except UNANSWERED as outage:
        raise unavailable("kafka_unavailable", "Kafka did not acknowledge in time", "repeat the request") from outage
    finally:
        await eraser.close()


async def _publish(parts: Parts, record: bus.Record, starts: tuple[str, str] | None) -> None:
    """Ping first: a record queued for an unreachable Kafka would be sent later, after the caller got a 503.

    `starts`: tenant and id of the run that the record starts.
    """
    if not await parts.broker.ping(PRESENCE):
        raise unavailable("kafka_unavailable", "Kafka is unavailable; nothing was accepted")
    try:
        async with asyncio.timeout(ACKNOWLEDGEMENT):
            if starts:
                await keyring_of(parts.broker).require(*starts)
            await bus.publish(parts.broker, [record])
    except Forgotten as forgotten:
        message = f"{forgotten}: its id, and so its idempotency key, is not used again"
        raise Refused(410, "forgotten", message, action="submit a new task with another key") from None
    except UNANSWERED as outage:
        message = "Kafka did not acknowledge in time; it may or may not have the message"
        raise unavailable(UNKNOWN, message, "repeat the request with the same Idempotency-Key") from outage
