"""A batch that cannot be unpacked costs its own partition, says so, and can be skipped."""

import asyncio
from contextlib import asynccontextmanager

import aiokafka.codec
import pytest
from aiokafka import TopicPartition

from shared.bus.admin import follow_skips, reading, skips, unreadable_at
from shared.bus.held import Unreadable
from shared.service.http import health_routes
from tests.support.batches import SPOILT, batch, broken_checksum, write
from tests.support.consuming import consuming, question, record, until
from tests.support.gateway_fixtures import error_of, records_of, serving

pytestmark = pytest.mark.broker


@pytest.fixture
def embedded(request):
    """Apache Kafka refuses such batches when they are written; disks spoil them afterwards."""
    if request.config.getoption("kafka") == "real":
        pytest.skip("Apache Kafka takes no batch that it finds spoilt")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(skips, "LOOK_EVERY", 0.1)


@asynccontextmanager
async def collecting(settings):
    """Topics consumed, and their consumer."""
    seen = []

    async def handle(delivery):
        seen.append(delivery.message.id)

    async with consuming(settings, handle) as (_, consumer):
        recovery = asyncio.create_task(follow_skips(settings, consumer.reader))
        yield seen, consumer
        recovery.cancel()
        await asyncio.wait([recovery], timeout=5)  # or its consumer would be left open


def some(settings, *numbers):
    return [record(question(n), settings.topic_prefix) for n in numbers]


@pytest.mark.parametrize("kind", SPOILT)
async def test_a_spoilt_batch_holds_its_own_partition_at_its_offset_and_the_others_flow(
    settings, topics, embedded, kind
):
    await write(settings, "runs", 0, bytes(batch(some(settings, 1, 2))), SPOILT[kind](some(settings, 3, 4)))
    await write(settings, "runs", 1, bytes(batch(some(settings, 10, 11))))
    async with collecting(settings) as (seen, consumer):
        await until(lambda: consumer.held and len(seen) == 4)
        partition = TopicPartition(settings.topic_prefix + "runs", 0)
        held = consumer.held[partition]
        assert (held.first, held.at, held.end) == (2, 2, 4)
        for n in range(20, 25):
            await write(settings, "runs", n % 3 + 1, bytes(batch(some(settings, n))))
        await until(lambda: len(seen) == 9)
        assert seen.count("q1") == seen.count("q2") == 1
        assert not {"q3", "q4"} & set(seen)
        assert list(consumer.held) == [partition]


async def test_records_of_other_partitions_in_the_same_fetch_are_not_lost(settings, topics, embedded):
    for number in range(4):
        good = [bytes(batch(some(settings, number * 100 + n))) for n in range(10)]
        spoilt = [broken_checksum(some(settings, 999))] if number == 2 else []
        await write(settings, "runs", number, *good, *spoilt)
    async with collecting(settings) as (seen, consumer):
        await until(lambda: len(seen) == 40 and consumer.held)
        assert sorted(seen) == sorted(f"q{number * 100 + n}" for number in range(4) for n in range(10))


async def test_the_operator_skips_it_and_what_is_behind_it_is_consumed_also_after_a_restart(
    settings, topics, embedded, sentinel
):
    spoilt = await write(settings, "runs", 0, bytes(batch(some(settings, 1))), broken_checksum(some(settings, 2, 3)))
    await write(settings, "runs", 0, bytes(batch(some(settings, 4))))
    async with collecting(settings) as (seen, consumer), serving(settings) as gateway:
        await until(lambda: consumer.held)
        where = "/v1/topics/runs/partitions/0/skip"
        order = {"offset": spoilt + 1, "by": "eva", "reason": "its disk failed"}
        skipped = await gateway.post(where, json=order)
        assert skipped.status_code == 202, skipped.text
        assert {"first": 1, "end": 3, "by": "eva"}.items() <= skipped.json().items()
        await until(lambda: seen == ["q1", "q4"])
        assert not consumer.held
    [kept] = await records_of(settings, "skips", 1)
    assert kept.key == b"runs/0/1"
    assert b"eva" in kept.value
    async with reading(settings, lambda topic: topic == "runs") as past:
        partition = past.partitions["runs"][0]
        found = [each.offset async for each in past.between(partition, 0, 4)]
    assert found == [0, 3]


async def test_a_batch_that_can_be_read_is_not_skipped(settings, topics, sentinel):
    await write(settings, "runs", 0, bytes(batch(some(settings, 1))))
    order = {"offset": 0, "by": "eva", "reason": "by mistake"}
    async with serving(settings) as gateway:
        refused = await gateway.post("/v1/topics/runs/partitions/0/skip", json=order)
        assert error_of(refused, 409)["code"] == "readable"
        nowhere = await gateway.post("/v1/topics/runs/partitions/77/skip", json=order)
        assert error_of(nowhere, 409)["code"] == "readable"


async def test_a_batch_in_a_codec_that_is_missing_holds_its_partition_until_it_is_there(settings, topics, monkeypatch):
    """On Apache Kafka too: a batch that is good, but not for this client."""
    from tests.support.codecs import _produce

    monkeypatch.setattr(aiokafka.codec, "has_zstd", lambda: False)
    await asyncio.to_thread(_produce, settings.kafka, "zstd", some(settings, *range(20)))
    async with collecting(settings) as (seen, consumer):
        await until(lambda: consumer.held)
        [(partition, held)] = consumer.held.items()
        assert "zstd" in held.why
        assert held.end > held.first
        assert await unreadable_at(settings, "runs", partition.partition, held.at)
        assert not seen
    monkeypatch.undo()
    async with collecting(settings) as (seen, consumer):
        await until(lambda: len(seen) == 20)
        assert not consumer.held


async def test_a_log_that_cannot_be_read_whole_is_not_taken_for_whole(settings, topics, embedded):
    await write(settings, "runs.log", 0, bytes(batch(some(settings, 1))), broken_checksum(some(settings, 2)))
    async with reading(settings, lambda topic: topic == "runs.log") as past:
        partition = past.partitions["runs.log"][0]
        with pytest.raises(Unreadable, match=r"runs.log/0 cannot be read from offset 1 up to 2"):
            [each async for each in past.between(partition, *await past.bounds(partition))]


async def test_ready_names_the_partition_and_why(settings, topics, embedded):
    await write(settings, "runs", 3, broken_checksum(some(settings, 1)))

    async def healthy():
        return True

    async with collecting(settings) as (_, consumer):
        await until(lambda: consumer.held)
        _, (_, ready) = health_routes(healthy, None, lambda: consumer.held)
        status, body = await asked(ready)
    assert status == 503
    assert f"{settings.topic_prefix}runs/3 is held at offset 0: CorruptRecordException" in body
    _, (_, ready) = health_routes(healthy, None, dict)
    assert await asked(ready) == (200, "ready")


async def asked(route):
    """Response of an ASGI route."""
    sent = []

    async def send(message):
        sent.append(message)

    await route({"type": "http", "method": "GET", "path": "/ready", "headers": [], "query_string": b""}, None, send)
    return sent[0]["status"], sent[1]["body"].decode()
