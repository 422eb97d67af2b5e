"""Batches that operators have skipped: whoever is held at one goes on behind it."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from aiokafka.errors import KafkaError

from schemas.skip import BatchSkipped
from shared.bus.admin.topic_reader import covers, reading
from shared.bus.reader import Held, Reader, Unreadable, tell
from shared.config import Settings

LOOK_EVERY = 2.0
"""Seconds between looks for a skip while something is held."""

TELL_EVERY = 60.0
"""Seconds between log lines about a partition that stays held."""

WITHIN = 20.0
"""Seconds one look may take."""

log = structlog.get_logger()


async def follow_skips(settings: Settings, consumer: Callable[[], Reader | None]) -> None:
    """Let the consumer go on behind what operators skip, for ever. While nothing is held Kafka is asked nothing."""
    said = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        reader = consumer()
        if reader is None or not reader.held:
            said = time.monotonic()
            continue
        if time.monotonic() - said >= TELL_EVERY:
            said = time.monotonic()
            for partition, held in reader.held.items():
                tell(partition, held)
        await _look(settings, reader)


async def unreadable_at(settings: Settings, topic: str, partition: int, offset: int) -> Held | None:
    """Return the batch at the offset if it cannot be read; None when it can, or there is no such record.

    Raises KafkaError.
    """
    async with reading(settings, lambda name: name == topic) as past:
        for each in past.partitions.get(topic, ()):
            first, end = await past.held(each)
            if each.partition != partition or not first <= offset < end:
                continue
            try:
                async for _ in past.between(each, offset, offset + 1):
                    pass
            except Unreadable as found:
                return found.held
    return None


async def _look(settings: Settings, reader: Reader) -> None:
    """Go on behind what was skipped meanwhile."""
    try:
        async with asyncio.timeout(WITHIN), reading(settings, lambda _: False) as past:
            _let_go(reader, await past.skipped(), settings.topic_prefix)
    except (KafkaError, TimeoutError) as away:
        log.warning("skips_unread", error=repr(away))


def _let_go(reader: Reader, orders: Sequence[BatchSkipped], prefix: str) -> None:
    for partition, held in dict(reader.held).items():
        for order in orders:
            if covers(order, partition, held, prefix):
                where = {"topic": partition.topic, "partition": partition.partition, "end": order.end}
                log.warning("batch_skipped", **where, by=order.by, reason=order.reason)
                reader.release(partition, order.end)
                break
