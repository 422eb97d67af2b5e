"""Cost of a hop (consume, decode, publish, acknowledge), compared with raw aiokafka."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import CollectorRegistry

from schemas.step import HelpAsked
from shared import bus
from shared.blackboard import Journal, Sentinel
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.telemetry.metrics import Metrics
from tests.bench.runs import percentile
from tests.bench.stage import Stage
from tests.bench.table import Row, against

PING, PONG = "runs", "results"
SIZE = 900
"""Bytes of a message."""


def message(number: int) -> HelpAsked:
    """A message of about the size."""
    about = {"id": f"q{number}", "run_id": f"run-{number % 2_000}", "tenant": "default", "agent": "data"}
    return HelpAsked(**about, handoff_id="h", question="x" * (SIZE - 150))


async def fill(stage: Stage, count: int) -> None:
    """Let so many messages wait."""
    broker = bus.connect(stage.settings(), "fill")
    await broker.start()
    for start in range(0, count, 500):
        now = datetime.now(UTC)
        batch = [
            encode(message(n), id=f"m{n}", source="/bench", prefix=stage.prefix, now=now)
            for n in range(start, min(start + 500, count))
        ]
        await publish(broker, batch)
    await broker.stop()


@asynccontextmanager
async def consumer(stage: Stage, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Raw, in a group, nothing committed by itself."""
    async with AIOKafkaConsumer(
        stage.prefix + topic,
        bootstrap_servers=stage.kafka,
        group_id=f"{stage.prefix}{topic}-{uuid4().hex[:6]}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    ) as found:
        yield found


async def raw(stage: Stage, count: int, *, commit: bool) -> tuple[float, float]:
    """Messages a second and CPU seconds of raw aiokafka; with `commit`, each is published and committed by itself."""
    async with consumer(stage, PING) as ping, AIOKafkaProducer(bootstrap_servers=stage.kafka, acks="all") as producer:
        first = await ping.getone()
        await producer.send_and_wait(stage.prefix + PONG, first.value, key=first.key)
        started, cpu, futures = time.perf_counter(), time.process_time(), []
        for _ in range(count - 1):
            record = await ping.getone()
            json.loads(record.value)
            sent = await producer.send(stage.prefix + PONG, record.value, key=record.key, headers=list(record.headers))
            if commit:
                await sent
                await ping.commit()
            else:
                futures.append(sent)
        await asyncio.gather(*futures)
        return (count - 1) / (time.perf_counter() - started), time.process_time() - cpu


@asynccontextmanager
async def ours(
    stage: Stage, topic: str, handle: Callable[..., Awaitable[None]], **settings: object
) -> AsyncIterator[object]:
    """Our consumer and our deliverer; gives the broker to publish with."""
    broker = bus.connect(stage.settings(), "bench")

    async def nothing(*_: object) -> None:
        return

    deliver = Deliverer(
        broker=broker,
        service="bench",
        prefix=stage.prefix,
        handle=lambda delivery: handle(delivery, broker),
        on_dead=nothing,
        outages=bus.OUTAGES,
        ready=nothing,
        metrics=Metrics(CollectorRegistry()),
    )
    group = f"{stage.prefix}{topic}-{uuid4().hex[:6]}"
    keyed = KeyedConsumer(broker, [stage.prefix + topic], group, deliver, stage.settings(**settings))
    await broker.start()
    keyed.start()
    try:
        yield broker
    finally:
        await keyed.stop(1.0)
        await broker.stop()


async def durable(stage: Stage, count: int, *, journal: bool) -> tuple[float, float]:
    """The same through our consumer; with `journal`, claimed and recorded as an agent does."""
    sentinel = Sentinel(stage.redis)
    await sentinel.renew(1)
    done, finished = 0, asyncio.Event()
    begun: list[tuple[float, float]] = []

    async def keep(*_: object) -> None:
        return

    async def handle(delivery: bus.Delivery, broker: object) -> None:
        nonlocal done
        begun or begun.append((time.perf_counter(), time.process_time()))
        if journal:
            entries = await Journal(sentinel, "default", f"{stage.prefix}{delivery.envelope.id}", 60, keep).open()
            await entries.write("answer/x", delivery.message.id)
        record = encode(
            delivery.message, id=delivery.envelope.id, source="/b", prefix=stage.prefix, now=datetime.now(UTC)
        )
        await publish(broker, [record.model_copy(update={"topic": stage.prefix + PONG})])
        done += 1
        if done == count:
            finished.set()

    async with ours(stage, PING, handle, max_in_flight=256):
        async with asyncio.timeout(120):
            await finished.wait()
        wall, cpu = time.perf_counter() - begun[0][0], time.process_time() - begun[0][1]
    await sentinel.close()
    return count / wall, cpu


async def throughput(stage: Stage, count: int) -> list[Row]:
    """Messages that wait are worked off."""
    figures = {}
    for name, play in {
        "raw, no commits": lambda: raw(stage, count, commit=False),
        "raw, commit each": lambda: raw(stage, count, commit=True),
        "durable hop": lambda: durable(stage, count, journal=False),
        "durable hop with journal": lambda: durable(stage, count, journal=True),
    }.items():
        await stage.fresh()
        await fill(stage, count)
        figures[name] = await play()
    base = figures["raw, commit each"][0]
    return [
        against(
            f"throughput: {name}",
            rate,
            "messages/s",
            base,
            note=f"{1e6 * cpu / count:.0f} µs CPU each",
            target="≥ 1.5" if name == "durable hop" else "",
            reached=rate / base >= 1.5 if name == "durable hop" else None,
        )
        for name, (rate, cpu) in figures.items()
    ]


async def _raw_pong(stage: Stage, rounds: int) -> list[float]:
    value = message(1).model_dump_json().encode()
    async with (
        consumer(stage, PING) as ping,
        consumer(stage, PONG) as pong,
        AIOKafkaProducer(bootstrap_servers=stage.kafka, acks="all") as producer,
    ):

        async def answer() -> None:
            async for record in ping:
                await producer.send_and_wait(stage.prefix + PONG, record.value, key=record.key)
                await ping.commit()

        answering = asyncio.create_task(answer())
        hops = []
        for _ in range(rounds):
            started = time.perf_counter()
            await producer.send_and_wait(stage.prefix + PING, value, key=b"run-1")
            await pong.getone()
            await pong.commit()
            hops.append((time.perf_counter() - started) / 2)
        answering.cancel()
        return hops


async def _our_pong(stage: Stage, rounds: int) -> list[float]:
    back = asyncio.Event()

    async def ping(delivery: bus.Delivery, broker: object) -> None:
        record = encode(delivery.message, id=uuid4().hex, source="/b", prefix=stage.prefix, now=datetime.now(UTC))
        await publish(broker, [record.model_copy(update={"topic": stage.prefix + PONG})])

    async def pong(delivery: bus.Delivery, broker: object) -> None:
        back.set()

    hops = []
    async with ours(stage, PING, ping) as broker, ours(stage, PONG, pong):
        for _ in range(rounds):
            back.clear()
            started = time.perf_counter()
            sent = encode(message(1), id=uuid4().hex, source="/b", prefix=stage.prefix, now=datetime.now(UTC))
            await publish(broker, [sent])
            await back.wait()
            hops.append((time.perf_counter() - started) / 2)
    return hops


async def latency(stage: Stage, rounds: int) -> list[Row]:
    """A ball is played between two consumers, one at a time; a hop is half of there and back."""
    await stage.fresh()
    base = (await _raw_pong(stage, rounds))[5:]
    await stage.fresh()
    mine = (await _our_pong(stage, rounds))[5:]
    p50, raw_p50 = 1e3 * percentile(mine, 50), 1e3 * percentile(base, 50)
    return [
        against("latency: hop p50", p50, "ms", raw_p50, target="≤ 1.3", reached=p50 / raw_p50 <= 1.3),
        against("latency: hop p99", 1e3 * percentile(mine, 99), "ms", 1e3 * percentile(base, 99)),
    ]
