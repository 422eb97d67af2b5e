"""Read-ahead of a consumer, and its cost."""

import asyncio

import pytest
from aiokafka import ConsumerRecord

from shared.bus import consumer as consuming
from shared.bus.consumer import READ_AHEAD, READ_AHEAD_BYTES, KeyedConsumer
from shared.bus.reader import Reader
from shared.config import Settings


class Partitions:
    """A reader's partitions; counts how often it is asked about them."""

    proceed, halt, release = Reader.proceed, Reader.halt, Reader.release

    def __init__(self) -> None:
        self.held: set = set()
        self.passed: dict = {}
        self.asked = 0
        self._halted = False

    def forget(self, partition):
        pass

    def seek(self, partition, offset):
        pass

    def assignment(self):
        return frozenset({("t", 0)})

    def paused(self):
        self.asked += 1
        return frozenset(self.held)

    def pause(self, *partitions):
        self.held |= set(partitions)

    def resume(self, *partitions):
        self.held -= set(partitions)


def raw(offset: int, headers=()):
    return ConsumerRecord("t", 0, offset, 0, 0, str(offset).encode(), b"{}", None, 0, 0, tuple(headers))


@pytest.fixture
async def reading(monkeypatch):
    partitions, release = Partitions(), asyncio.Event()
    monkeypatch.setattr(consuming, "subscribe", lambda *_, **__: lambda: partitions)

    async def handle(record):
        await release.wait()

    found = KeyedConsumer(None, ["t"], "g", handle, Settings(max_in_flight=2))
    await found.on_partitions_assigned([])
    partitions.asked = 0
    yield found, partitions, release
    release.set()
    await asyncio.sleep(0.01)


async def test_headers_count_towards_what_is_read_ahead(reading):
    consumer, partitions, _ = reading
    await consumer._take([raw(0, [("x", b"h" * READ_AHEAD_BYTES)])])
    assert partitions.held


async def test_a_partition_that_is_released_while_much_is_read_ahead_stays_paused(reading):
    consumer, partitions, release = reading
    await consumer._take([raw(0, [("x", b"h" * READ_AHEAD_BYTES)])])
    partitions.release(("t", 0), 1)
    assert partitions.held
    release.set()
    await asyncio.sleep(0.01)
    assert not partitions.held


async def test_the_client_is_asked_about_its_partitions_only_when_reading_ahead_begins_or_ends(reading):
    consumer, partitions, release = reading
    most = READ_AHEAD * 2
    await consumer._take([raw(offset) for offset in range(most - 1)])
    assert not partitions.held
    await consumer._take([raw(most)])
    assert partitions.held
    release.set()
    await asyncio.sleep(0.05)
    assert (consumer.in_flight, consumer.waiting) == (0, 0)
    assert not partitions.held
    assert partitions.asked == 1
