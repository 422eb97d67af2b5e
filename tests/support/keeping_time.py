"""A timekeeper in the test's own process."""

import asyncio
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.timekeeper.service import Timekeeper
from services.timekeeper.timers import Timers
from shared import bus
from shared.bus import TableConsumer, TombstoneWriter
from shared.bus.admin import Lookup
from shared.bus.groups import tables
from shared.service import Parts
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics


@asynccontextmanager
async def timekeeping(settings, name="timekeeper", most_kept=None):
    """Runs until the block ends, then stops without a word, as if it were killed."""
    broker = bus.connect(settings, name, relist=0.5)
    pattern = tables(settings.topic_prefix)
    parts = Parts(name, settings, CollectorRegistry(), Metrics(CollectorRegistry()), None, broker, None, None, None)
    stops, lookup = KillSwitch(settings), Lookup(settings)
    kept = Timers() if most_kept is None else Timers(most_kept)
    keeper = Timekeeper(parts, kept, TombstoneWriter(settings), asyncio.Event(), stops, lookup)
    consumer = TableConsumer(broker, pattern, settings.topic_prefix + name, keeper, settings)
    await keeper.eraser.start()
    await broker.start()
    firing = [asyncio.create_task(keeper.fire()), asyncio.create_task(stops.follow())]
    try:
        yield keeper, consumer
    finally:
        for each in firing:
            each.cancel()
        consumer.close()
        await asyncio.gather(*firing, return_exceptions=True)
        await keeper.eraser.close()
        await lookup.close()
        await broker.stop()
