"""Shared steps of tests: kill switch."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from schemas.stop import WorkStopped
from shared import bus
from shared.bus import Erased, TombstoneWriter, encode, publish
from shared.service.kill_switch import KillSwitch


@asynccontextmanager
async def following(settings):
    stops = KillSwitch(settings)
    task = asyncio.create_task(stops.follow())
    try:
        await asyncio.wait_for(stops.wait_loaded(), 20)
        yield stops
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def switch(settings, topics):
    """Stops and starts scopes."""
    broker = bus.connect(settings, "test")
    await broker.start()
    eraser = TombstoneWriter(settings)
    await eraser.start()

    async def switch(scope: str, *, on: bool) -> None:
        stop = WorkStopped(scope=scope, by="eva", reason="enough", at=datetime.now(UTC))
        prefix, now = settings.topic_prefix, datetime.now(UTC)
        if on:
            await eraser.erase([Erased(settings.topic_prefix + "stops", scope)])
        else:
            await publish(broker, [encode(stop, id=f"s-{scope}", source="/t", prefix=prefix, now=now, key=scope)])

    yield switch
    await eraser.close()
    await broker.stop()
