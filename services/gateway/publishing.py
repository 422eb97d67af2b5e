"""From a request to a record that Kafka has acknowledged."""

import asyncio
from datetime import UTC, datetime

from schemas.message import Message
from services.gateway.errors import UNANSWERED, Refused, too_large, unavailable
from shared import bus
from shared.access.principals import SIGNED, signing_name
from shared.access.signing import from_secret, signed
from shared.config import Settings
from shared.service import Parts

SOURCE = "waggle/gateway"
"""The CloudEvents source of what comes over HTTP."""

PRESENCE = 3.0
"""Seconds Kafka has to show that it is there, before anything is sent."""

ACKNOWLEDGEMENT = 6.0
"""Seconds Kafka has to acknowledge what was sent."""


async def deliver(parts: Parts, message: Message, *, id: str, run_id: str, authenticated: bool = False) -> None:
    """Publish the message and return when Kafka has it. The request's trace, which is the caller's, goes on in it.

    What permits acting calls is signed, if the caller was `authenticated`.
    Raises Refused: 413 when the message is larger than any service takes, 403 when it must be signed and cannot be, 503
    when Kafka is away. `kafka_unavailable` says that nothing was sent, `outcome_unknown` that Kafka went away while it
    was.
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
        record = _with_authority(record, parts.settings, authenticated=authenticated)
    await _publish(parts, record)


def _with_authority(record: bus.Record, settings: Settings, *, authenticated: bool) -> bus.Record:
    """Return the record as the orchestrator obeys it: signed for a caller whose key was seen, or as it is."""
    if authenticated and settings.signing_key is not None:
        key = from_secret(settings.signing_key.get_secret_value())
        headers = signed(record.headers, record.value.encode(), signing_name("gateway"), key)
        return record.model_copy(update={"headers": headers})
    if settings.unsigned_decisions == "accept":
        return record
    missing = "WAGGLE_SIGNING_KEY" if authenticated else "WAGGLE_KEYS and WAGGLE_SIGNING_KEY"
    message = "a decision must be signed to be obeyed, and this gateway does not sign"
    raise Refused(403, "unsigned", message, action=f"an operator sets {missing} (docs/access.md); nothing was decided")


async def clear(parts: Parts, topic: str, key: str) -> None:
    """Take a key out of a compacted topic. Raises Refused: 503 when Kafka is away."""
    eraser = bus.TombstoneWriter(parts.settings)
    try:
        async with asyncio.timeout(ACKNOWLEDGEMENT):
            await eraser.start()
            await eraser.erase([bus.Erased(parts.settings.topic_prefix + topic, key)])
    except UNANSWERED as away:
        raise unavailable("kafka_unavailable", "Kafka did not acknowledge in time", "send it again") from away
    finally:
        await eraser.close()


async def _publish(parts: Parts, record: bus.Record) -> None:
    """Look first: what a dead Kafka did not take would be sent when it is back, after the caller was told 503."""
    if not await parts.broker.ping(PRESENCE):
        raise unavailable("kafka_unavailable", "Kafka cannot be reached; nothing was accepted")
    try:
        async with asyncio.timeout(ACKNOWLEDGEMENT):
            await bus.publish(parts.broker, [record])
    except UNANSWERED as away:
        message = "Kafka did not acknowledge in time; it may have the message or not"
        raise unavailable("outcome_unknown", message, "send it again with the same Idempotency-Key") from away
