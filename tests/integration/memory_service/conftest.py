"""An empty store, and a broker to write with."""

import pytest

from shared import bus
from tests.support.killed_process import Process
from tests.support.remembering import emptied


@pytest.fixture
async def memories(settings):
    """An empty store."""
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


@pytest.fixture
async def service(settings, topics, sentinel):
    """A service that can be killed."""
    found = Process(settings)
    yield found
    await found.kill()
