"""Writing dead letters: the original record, the reason in its headers, a log line and a metric."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
from faststream.kafka import KafkaBroker

from shared.bus.publishing import publish_bytes, size_of
from shared.bus.record import header_map
from shared.errors import WaggleError
from shared.telemetry.metrics import Metrics

SUFFIX = ".dlt"
"""Appended to a topic's name for its dead-letter topic."""

CAUSES = "waggle-causes"
"""Header of a retried record: a JSON list of the failures so far, oldest first."""

LARGEST = 9 * 1_048_576 - 4_096
"""Bytes of key, headers and value of a dead letter: its topic's limit, less Kafka's own overhead per record."""

_ORIGINAL = ("dlt-headers", "dlt-key", "dlt-causes")
"""Headers that repeat the original record's, and so may be as large as those."""

log = structlog.get_logger()


async def write_dead_letter(
    broker: KafkaBroker, record: Any, error: WaggleError, *, service: str, attempts: int, metrics: Metrics
) -> None:
    """Publish the dead letter and return when Kafka has acknowledged it.

    May be written twice; losing a dead letter would lose work.
    """
    headers = dead_letter_headers(record, error, service=service, attempts=attempts, now=datetime.now(UTC))
    await publish_bytes(broker, record.topic + SUFFIX, record.key, record.value or b"", headers)
    log.error("dead_lettered", topic=record.topic, offset=record.offset, code=error.code, reason=str(error))
    metrics.dead_letters.labels(record.topic, metrics.error(error.code)).inc()


def dead_letter_headers(
    record: Any, error: WaggleError, *, service: str, attempts: int, now: datetime
) -> dict[str, str]:
    """Return the headers of a dead letter: the record's origin and the failure.

    The record's own headers are kept byte for byte in `dlt-headers`: a JSON list of `[name, base64]`. If they do not
    fit next to the value, `dlt-lost` gives their size in bytes and SHA-256 instead; they remain in the original topic,
    at the given offset, for as long as Kafka retains it.
    """
    headers = _headers(record, error, service, attempts, now)
    if size_of(record.key, record.value or b"", [(name, text.encode()) for name, text in headers.items()]) <= LARGEST:
        return headers
    dropped = {name: headers.pop(name).encode() for name in _ORIGINAL}
    lost = {name: {"bytes": len(each), "sha256": hashlib.sha256(each).hexdigest()} for name, each in dropped.items()}
    return headers | {"dlt-lost": json.dumps(lost)}


def _headers(record: Any, error: WaggleError, service: str, attempts: int, now: datetime) -> dict[str, str]:
    original = [[name, base64.b64encode(value or b"").decode()] for name, value in record.headers]
    own = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    return {
        "dlt-topic": record.topic,
        "dlt-partition": str(record.partition),
        "dlt-offset": str(record.offset),
        "dlt-key": base64.b64encode(record.key or b"").decode(),
        "dlt-headers": json.dumps(original),
        "dlt-error": error.code,
        "dlt-message": str(error)[:4_000],
        "dlt-attempts": str(attempts),
        "dlt-causes": own.get(CAUSES, "[]"),
        "dlt-service": service,
        "dlt-version": version("waggle"),
        "dlt-time": now.isoformat(),
        "traceparent": own.get("traceparent", "")[:200],
    }
