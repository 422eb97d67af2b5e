"""Skips of unreadable batches, ordered by operators: a held consumer continues after the skipped batch."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from aiokafka.errors import KafkaError

from schemas.skip import BatchSkipped
from shared.bus.admin.topic_reader import covers, reading
from shared.bus.held import Held, Unreadable, log_held
from shared.bus.reader import Reader
from shared.config import Settings

LOOK_EVERY = 2.0
"""Seconds between checks for a skip while a partition is held."""

LOG_EVERY = 60.0
"""Seconds between log lines about a partition that stays held."""

WITHIN = 20.0
"""Seconds allowed per check."""

log = structlog.get_logger()


async def follow_skips(settings: Settings, consumer: Callable[[], Reader | None]) -> None:
    """Release the consumer's held partitions as operators skip batches; runs forever, idle while none is held."""
    logged_at = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        reader = consumer()
        if reader is None or not reader.held:
            logged_at = time.monotonic()
            continue
        if time.monotonic() - logged_at >= LOG_EVERY:
            logged_at = time.monotonic()
            for partition, held in reader.held.items():
                log_held(partition, held)
        await _apply_skips(settings, reader)


async def unreadable_at(settings: Settings, topic: str, partition: int, offset: int) -> Held | None:
    """Return the batch at the offset if it is unreadable, or the record if its key is missing; None otherwise.

    Raises KafkaError.
    """
    async with reading(settings, lambda name: name == topic, whole=True) as topics:
        for each in topics.partitions.get(topic, ()):
            first, end = await topics.bounds(each)
            if each.partition != partition or not first <= offset < end:
                continue
            try:
                async for _ in topics.between(each, offset, offset + 1):
                    pass
            except Unreadable as found:
                return found.held
    return None


async def _apply_skips(settings: Settings, reader: Reader) -> None:
    """Release partitions held at batches skipped meanwhile."""
    try:
        async with asyncio.timeout(WITHIN), reading(settings, lambda _: False) as topics:
            _release(reader, await topics.skipped(), settings.topic_prefix)
    except (KafkaError, TimeoutError) as error:
        log.warning("skips_unread", error=repr(error))


def _release(reader: Reader, orders: Sequence[BatchSkipped], prefix: str) -> None:
    for partition, held in dict(reader.held).items():
        for order in orders:
            if covers(order, partition, held, prefix):
                where = {"topic": partition.topic, "partition": partition.partition, "end": order.end}
                log.warning("batch_skipped", **where, by=order.by, reason=order.reason)
                reader.release(partition, order.end)
                break
