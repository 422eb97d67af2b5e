"""Observing a topic alongside its owner: records are read, and never moved, retried elsewhere or dead-lettered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from shared.bus.deliver import DEFECT_ATTEMPTS, DEFECT_DELAY, Deliverer
from shared.errors import Fenced, Forgotten, InvalidMessage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Observer:
    """Passes records of other topics to `watch`, and those of the service's own topics to its deliverer."""

    deliver: Deliverer
    own: frozenset[str]
    """Topics of the service, with the prefix."""
    watch: Callable[[Any], Awaitable[None]]

    async def __call__(self, record: Any) -> None:
        """Return when the record is finished. Raises only Fenced and cancellation."""
        if record.topic in self.own:
            await self.deliver(record)
        else:
            await self.deliver.through_outages(record, self._watch)

    async def _watch(self, record: Any) -> None:
        """Observe a record; one that cannot be read, or fails repeatedly, is logged, counted and passed over."""
        outages: tuple[type[Exception], ...] = (Fenced, *self.deliver.outages)
        for attempt in range(1, DEFECT_ATTEMPTS + 1):
            try:
                await self.watch(record)
            except outages:
                raise
            except Forgotten:
                return
            except Exception as failure:
                log.exception("observed_record_failed", topic=record.topic, offset=record.offset, attempt=attempt)
                if isinstance(failure, InvalidMessage):
                    break
                await asyncio.sleep(DEFECT_DELAY)
            else:
                return
        self.deliver.metrics.unobserved.labels(record.topic).inc()
