"""`python -m tests.bench.hop`: what a hop costs, on both brokers, beside raw aiokafka in the same run.

A ball is played between two consumers, one ball at a time: the time there and back, halved, is a hop. Raw aiokafka
sends, polls and commits each message; ours decodes, traces, keeps keys in order and commits watermarks.
"""

import argparse
import asyncio
import logging
import statistics
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import CollectorRegistry

from infra import topics
from infra.embedded.kafka import EmbeddedKafka
from infra.kafka.broker import KafkaUnavailableError, running
from schemas.step import HelpAsked
from shared import bus
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PING, PONG = "runs", "results"


async def raw(kafka: str, prefix: str, rounds: int, wait_ms: int) -> list[float]:
    """Hops of raw aiokafka that commits after each message; seconds each."""
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=kafka, acks="all"))
        sides = [
            await stack.enter_async_context(
                AIOKafkaConsumer(
                    prefix + topic,
                    bootstrap_servers=kafka,
                    group_id=prefix + topic,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    fetch_max_wait_ms=wait_ms,
                )
            )
            for topic in (PING, PONG)
        ]
        value = question(1).model_dump_json().encode()

        async def answer() -> None:
            async for record in sides[0]:
                await producer.send_and_wait(prefix + PONG, record.value, key=record.key)
                await sides[0].commit()

        answering = asyncio.create_task(answer())
        hops = []
        for _ in range(rounds):
            started = time.perf_counter()
            await producer.send_and_wait(prefix + PING, value, key=b"run-1")
            await sides[1].getone()
            await sides[1].commit()
            hops.append((time.perf_counter() - started) / 2)
        answering.cancel()
        return hops


async def ours(kafka: str, prefix: str, rounds: int, wait_ms: int) -> list[float]:
    """Hops through our consumer; seconds each."""
    settings = Settings(kafka=kafka, topic_prefix=prefix, fetch_max_wait_ms=wait_ms)
    broker = bus.connect(settings, "bench", CollectorRegistry())
    back = asyncio.Event()

    async def ping(delivery):
        record = encode(delivery.message, id=uuid4().hex, source="/bench", prefix=prefix, now=datetime.now(UTC))
        await publish(broker, [record.model_copy(update={"topic": prefix + PONG})])

    async def pong(delivery):
        back.set()

    async def on_dead(record, error):
        raise error

    consumers = []
    for topic, handle in ((PING, ping), (PONG, pong)):
        deliver = Deliverer(broker=broker, service="bench", handle=handle, on_dead=on_dead, transient=bus.OUTAGES)
        consumers.append(KeyedConsumer(broker, [prefix + topic], prefix + topic, deliver, settings))
    await broker.start()
    for consumer in consumers:
        consumer.start()
    hops = []
    for _ in range(rounds):
        back.clear()
        started = time.perf_counter()
        record = encode(question(1), id=uuid4().hex, source="/bench", prefix=prefix, now=datetime.now(UTC))
        await publish(broker, [record])
        await back.wait()
        hops.append((time.perf_counter() - started) / 2)
    for consumer in consumers:
        await consumer.stop(1.0)
    await broker.stop()
    return hops


def question(number: int) -> HelpAsked:
    """A small message."""
    return HelpAsked(id=f"q{number}", run_id="run-1", tenant="default", agent="data", handoff_id="h", question="?")


async def measure(name: str, kafka: str, rounds: int) -> None:
    """Print the rows of one broker."""
    base = None
    for what, play, wait_ms in (
        ("raw aiokafka", raw, 5),
        ("waggle", ours, 5),
        ("waggle, fetch wait 500 ms", ours, 500),
    ):
        prefix = f"b{uuid4().hex[:6]}."
        await topics.create(kafka, prefix, topics.declared([]))
        hops = (await play(kafka, prefix, rounds if wait_ms < 100 else max(10, rounds // 20), wait_ms))[5:]
        p50 = statistics.median(hops) * 1000
        p99 = statistics.quantiles(hops, n=100)[98] * 1000
        base = base or p50
        print(f"{name:10} {what:28} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   ratio {p50 / base:5.2f}", flush=True)


def main() -> None:
    """Measure on both brokers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    logging.disable(logging.ERROR)
    embedded = EmbeddedKafka()
    asyncio.run(measure("embedded", embedded.bootstrap, rounds))
    embedded.close()
    try:
        with running(ROOT) as kafka:
            asyncio.run(measure("Apache", kafka, rounds))
    except KafkaUnavailableError as missing:
        print(f"Apache     not measured: {missing}")


if __name__ == "__main__":
    main()
