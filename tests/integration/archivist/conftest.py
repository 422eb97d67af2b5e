"""An empty record, and a broker to write with."""

import pytest

from shared import bus
from tests.support.recording import emptied


@pytest.fixture
async def record(settings):
    """An empty record."""
    store = await emptied(settings.postgres)
    yield store
    await store.close()


@pytest.fixture
async def writer(settings, topics):
    """A broker to write with, on the test's own topics."""
    broker = bus.connect(settings, "test")
    await broker.start()
    yield broker
    await broker.stop()
