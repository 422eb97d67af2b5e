"""Writing a dead letter: the record as it was, the reason beside it, a line in the log and a count."""

from datetime import UTC, datetime
from typing import Any

import structlog
from faststream.kafka import KafkaBroker

from shared.bus.broker import publish_bytes
from shared.bus.dead.letters import SUFFIX, dead_letter_headers
from shared.errors import WaggleError
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()


async def bury(
    broker: KafkaBroker, record: Any, error: WaggleError, *, service: str, attempts: int, metrics: Metrics
) -> None:
    """Publish the dead letter and return when Kafka has acknowledged it.

    It may be written twice; losing one would lose work.
    """
    headers = dead_letter_headers(record, error, service=service, attempts=attempts, now=datetime.now(UTC))
    await publish_bytes(broker, record.topic + SUFFIX, record.key, record.value or b"", headers)
    log.error("dead letter", topic=record.topic, offset=record.offset, code=error.code, reason=str(error))
    metrics.dead_letters.labels(record.topic, metrics.error(error.code)).inc()
