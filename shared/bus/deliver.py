"""What becomes of one delivery: done, tried again, or dead-lettered. Nothing is swallowed, nothing is dropped."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from faststream.kafka import KafkaBroker

from shared.bus.broker import publish_bytes
from shared.bus.dead_letters import SUFFIX, dead_letter_headers
from shared.bus.record import Delivery, decode
from shared.errors import TerminalError, WaggleError
from shared.telemetry.traces import processing

log = structlog.get_logger()

PATIENCE = 3
"""How often a delivery is tried whose failure nobody has classified: it is taken for a defect after that."""

LONGEST_PAUSE = 10.0
"""Seconds between tries while something we depend on is away."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Decodes each record, hands it to `handle`, and deals with whatever goes wrong."""

    broker: KafkaBroker
    service: str
    handle: Callable[[Delivery], Awaitable[None]]
    on_dead: Callable[[Any, WaggleError], Awaitable[None]]
    """Told of every record that was dead-lettered, with the reason, so that its sender can be told."""
    transient: tuple[type[Exception], ...]
    """Failures that pass: tried again until they have, never dead-lettered."""

    async def __call__(self, record: Any) -> None:
        """Return when the record is dealt with. Raises nothing but cancellation."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._try(record)
            except self.transient as failure:
                pause = getattr(failure, "after", min(0.1 * 2**attempt, LONGEST_PAUSE))
                log.warning(
                    "delivery will be tried again", topic=record.topic, offset=record.offset, error=repr(failure)
                )
                await asyncio.sleep(pause)
            except TerminalError as final:
                await self._bury(record, final, attempt)
                return None
            except Exception as defect:
                log.exception("a handler failed", topic=record.topic, offset=record.offset, attempt=attempt)
                if attempt >= PATIENCE:
                    await self._bury(record, TerminalError(repr(defect), code="defect"), attempt)
                    return None

    async def _try(self, record: Any) -> None:
        delivery = decode(record)
        with processing(delivery.envelope, delivery.topic, self.service):
            await self.handle(delivery)

    async def _bury(self, record: Any, error: WaggleError, attempts: int) -> None:
        """Retried until Kafka has it: a dead letter that is lost would be work that is lost."""
        headers = dead_letter_headers(record, error, service=self.service, attempts=attempts, now=datetime.now(UTC))
        log.error("dead letter", topic=record.topic, offset=record.offset, code=error.code, reason=str(error))
        topic = record.topic + SUFFIX
        await self._insist(lambda: publish_bytes(self.broker, topic, record.key, record.value or b"", headers))
        await self._insist(lambda: self.on_dead(record, error))

    async def _insist(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await act()
            except self.transient as failure:
                log.warning("dead letter will be tried again", error=repr(failure))
                await asyncio.sleep(LONGEST_PAUSE / 10)
