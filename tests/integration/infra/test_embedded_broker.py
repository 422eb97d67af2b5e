"""The embedded broker answers a fetch as soon as a record arrives, also to clients of newer protocol versions."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer

from tests.support.embedded_kafka import EmbeddedKafka

LONG = 30_000
"""Milliseconds of a fetch that no test waits for."""


@pytest.fixture(scope="module")
def bootstrap():
    broker = EmbeddedKafka("steps:4")
    yield broker.bootstrap
    broker.close()


@asynccontextmanager
async def consumer(bootstrap, topic, **about):
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", request_timeout_ms=2 * LONG, **about
    ) as started:
        yield started


async def test_a_record_ends_the_wait_of_a_fetch(bootstrap):
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer,
        consumer(bootstrap, "steps", fetch_max_wait_ms=LONG) as reading,
    ):
        for n in range(3):
            coming = asyncio.create_task(reading.getone())
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await producer.send_and_wait("steps", b"%d" % n, key=b"k%d" % n)
            assert (await coming).value == b"%d" % n
            assert time.monotonic() - began < LONG / 2_000


async def test_records_of_other_topics_leave_it_waiting_until_its_time_is_over(bootstrap):
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
        consumer(bootstrap, "quiet", fetch_max_wait_ms=300) as reading,
    ):
        await producer.send_and_wait("other", b"x")
        assert await reading.getmany(timeout_ms=1_000) == {}
        await producer.send_and_wait("quiet", b"y")
        assert (await reading.getone()).value == b"y"


async def test_a_producer_of_flexible_versions_wakes_the_fetch(bootstrap):
    async with consumer(bootstrap, "flexible", fetch_max_wait_ms=LONG) as reading:
        coming = asyncio.create_task(reading.getone())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        producer = Producer({"bootstrap.servers": bootstrap})
        producer.produce("flexible", b"from C")
        assert await asyncio.to_thread(producer.flush, 20) == 0
        assert (await coming).value == b"from C"
        assert time.monotonic() - began < LONG / 2_000


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_records_arrive_with_any_acknowledgement(bootstrap, acks):
    topic = f"acks-{acks}"
    async with (
        consumer(bootstrap, topic, fetch_max_wait_ms=500) as reading,
        AIOKafkaProducer(bootstrap_servers=bootstrap, acks=acks) as producer,
    ):
        for n in range(20):
            await producer.send(topic, b"%d" % n, partition=0)
        assert [(await reading.getone()).value for _ in range(20)] == [b"%d" % n for n in range(20)]


async def test_a_consumer_of_flexible_versions_is_answered(bootstrap):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("to-c", b"read by C")
    reading = Consumer({"bootstrap.servers": bootstrap, "group.id": "c", "auto.offset.reset": "earliest"})
    reading.subscribe(["to-c"])
    try:
        found = await asyncio.to_thread(reading.poll, 30)
        assert found is not None
        assert found.value() == b"read by C"
    finally:
        reading.close()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\3abc"])
async def test_a_message_of_no_valid_size_ends_its_own_connection_only(bootstrap, words):
    host, _, port = bootstrap.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(words)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("after", b"still here")
