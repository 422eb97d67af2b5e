"""A table is complete when all that was there has been put, at every assignment."""

import asyncio

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from shared.bus import table as tables
from shared.bus.table import TableConsumer
from shared.config import Settings

PLACE = TopicPartition("timers", 0)


class Log:
    """A reader of a partition with three records."""

    def __init__(self) -> None:
        self.passed: dict = {}

    def forget(self, partition):
        self.passed.pop(partition, None)

    async def beginning_offsets(self, partitions):
        return {PLACE: 0}

    async def end_offsets(self, partitions):
        return {PLACE: 3}


class Heard:
    """Implements `shared.bus.table.Table` and records its calls."""

    def __init__(self) -> None:
        self.said: list = []

    def put(self, place, key, record):
        self.said.append(record.offset)

    def clear(self, place, key):
        self.said.append(None)

    def complete(self, place):
        self.said.append("complete")

    def drop(self, place):
        self.said.clear()


def raw(offset):
    return ConsumerRecord("timers", 0, offset, 0, 0, b"key", b"{}", None, 0, 0, ())


@pytest.fixture
def table(monkeypatch):
    log, heard = Log(), Heard()
    monkeypatch.setattr(tables, "subscribe", lambda *_, **__: lambda: log)
    consumer = TableConsumer(None, "timers", "g", heard, Settings())
    yield consumer, log, heard
    consumer.close()


async def test_a_partition_that_is_assigned_again_is_complete_only_when_it_was_read_again(table):
    consumer, log, heard = table
    await consumer.on_partitions_assigned([PLACE])
    await consumer._take([raw(0), raw(1), raw(2)])
    log.passed[PLACE] = 3  # the reader notices that with its next fetch
    await consumer.on_partitions_revoked([PLACE])
    await consumer.on_partitions_assigned([PLACE])
    await asyncio.sleep(3 * tables.LOOK_EVERY)
    assert consumer.loading
    await consumer._take([raw(0), raw(1)])
    assert "complete" not in heard.said
    await consumer._take([raw(2)])
    assert heard.said == [0, 1, 2, "complete"]
