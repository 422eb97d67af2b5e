"""Shared steps of tests: consuming."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from schemas.step import HelpAsked
from shared import bus
from shared.bus import Deliverer, KeyedConsumer, encode
from shared.telemetry.metrics import Metrics


def question(number: int, run: str = "run-1"):
    return HelpAsked(id=f"q{number}", run_id=run, tenant="default", agent="data", handoff_id="h", question=str(number))


def record(message, prefix: str, id: str | None = None):
    return encode(message, id=id or message.id, source="/test", prefix=prefix, now=datetime.now(UTC))


@asynccontextmanager
async def consuming(
    settings, handle, group="g", topics=("runs",), dead=None, registry=None, on_dead=None, attempts=None
):
    broker = bus.connect(settings, "test")

    async def collect(raw, error):
        if dead is not None:
            dead.append((raw, error))

    async def ready():
        pass

    deliver = Deliverer(
        broker=broker,
        service="test",
        prefix=settings.topic_prefix,
        handle=handle,
        on_dead=on_dead or collect,
        outages=bus.OUTAGES,
        ready=ready,
        metrics=Metrics(registry or CollectorRegistry()),
        attempts=attempts,
    )
    names = [settings.topic_prefix + topic for topic in topics]
    consumer = KeyedConsumer(broker, names, settings.topic_prefix + group, deliver, settings)
    await broker.start()
    consumer.start()
    try:
        yield broker, consumer
    finally:
        await consumer.stop(grace=1.0)
        await broker.stop()


async def until(condition, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
