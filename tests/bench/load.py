"""Many slow steps in one process, and fast keys next to slow ones."""

import asyncio
import resource
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

import psutil
from aiokafka import AIOKafkaConsumer

from infra.probe import free_port, listens
from schemas.budget import Budget
from schemas.event import State
from schemas.step import DoStep
from shared import bus
from shared.blackboard import Sentinel, keys
from shared.bus import encode, publish
from tests.bench import hop
from tests.bench.runs import percentile
from tests.bench.stage import Stage
from tests.bench.table import Row, against

MODEL_SECONDS = 2.0


async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A model server that needs two seconds for everything."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(MODEL_SECONDS)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve_model(port: int) -> None:
    """For ever."""
    server = await asyncio.start_server(answer_slowly, "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


def handoff(number: int, prefix: str) -> DoStep:
    """A step of a run of its own."""
    run = f"run-{prefix}{number}"
    return DoStep(
        id=f"{run}/s/0.0.1",
        work_id=f"{run}/s/0.0",
        run_id=run,
        task_id="t",
        tenant="default",
        agent="sleeper",
        objective="wait",
        budget_left=Budget(),
        timeout=300,
        deadline=datetime.now(UTC).replace(year=2099),
        step_id="s",
    )


async def steps(stage: Stage, count: int) -> list[Row]:
    """So many steps at once on a 2 s model in one worker process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * count + 1_000), hard))
    await stage.fresh()
    sentinel = Sentinel(stage.redis)
    await sentinel.renew(1)
    port = free_port()
    model = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import asyncio; from tests.bench.load import *; asyncio.run(serve_model({port}))"
    )
    while not await listens(port):
        await asyncio.sleep(0.05)
    worker = await stage.serve(
        "tests.bench.agents sleeper",
        "sleeper",
        WAGGLE_MAX_IN_FLIGHT=str(count),
        BENCH_MODEL=f"http://127.0.0.1:{port}/",
    )
    try:
        return await _measured(stage, sentinel, worker.pid, count)
    finally:
        model.kill()
        await model.wait()
        await stage.clear()
        await sentinel.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _underway(sentinel: Sentinel, handoffs: list[DoStep]) -> None:
    """Make their runs known: no worker acts for an unknown run."""
    async with sentinel.own.pipeline(transaction=False) as pipe:
        for each in handoffs:
            pipe.hset(keys.run(each.tenant, each.run_id), "state", f'"{State.EXECUTING}"')
        await pipe.execute()


async def _measured(stage: Stage, sentinel: Sentinel, pid: int | None, count: int) -> list[Row]:
    process = psutil.Process(pid)
    idle, most = process.memory_info().rss, 0
    broker = bus.connect(stage.settings(), "bench")
    await broker.start()
    async with AIOKafkaConsumer(stage.prefix + "runs", bootstrap_servers=stage.kafka) as answers:
        await answers.seek_to_end()
        handoffs = _handoffs(count)
        await _underway(sentinel, handoffs)
        started = time.perf_counter()
        now = datetime.now(UTC)
        sent = [encode(m, id=m.id, source="/b", prefix=stage.prefix, now=now) for m in handoffs]
        await publish(broker, sent)
        done = 0
        while done < count:
            found = await answers.getmany(timeout_ms=100)
            done += sum(map(len, found.values()))
            most = max(most, process.memory_info().rss)
        seconds = time.perf_counter() - started
    await broker.stop()
    cpu = sum(process.cpu_times()[:2])
    share, memory = 100 * MODEL_SECONDS / seconds, (most - idle) / 1024 / count
    note = f"{seconds:.1f} s; {1e3 * cpu / count:.2f} ms CPU a step, start included"
    return [
        Row(f"{count:,} steps on a 2 s model: of ideal", share, "%", target="≥ 95 %", reached=share >= 95, note=note),
        Row(f"{count:,} steps: memory a step in flight", memory, "KB", target="≤ 50 KB", reached=memory <= 50),
    ]


def _handoffs(count: int) -> list[DoStep]:
    prefix = uuid4().hex[:6]
    return [handoff(number, prefix) for number in range(count)]


async def neighbours(stage: Stage, count: int) -> list[Row]:
    """Fast keys with and without 10 % keys that are 100 times slower, all on one partition."""
    alone = await _fast_keys(stage, count, slow=False)
    beside = await _fast_keys(stage, count, slow=True)
    p99, base = 1e3 * percentile(beside, 99), 1e3 * percentile(alone, 99)
    return [
        against("fast keys beside slow ones: p99", p99, "ms", base, target="≤ 1.2", reached=p99 / base <= 1.2),
    ]


async def _fast_keys(stage: Stage, count: int, *, slow: bool) -> list[float]:
    await stage.fresh()
    begun: dict[str, float] = {}
    took: list[float] = []
    finished = asyncio.Event()
    fast = [n for n in range(count) if n % 10]

    async def handle(delivery: bus.Delivery, _: object) -> None:
        is_slow = delivery.envelope.id.startswith("slow")
        await asyncio.sleep(0.5 if is_slow else 0.005)
        if not is_slow:
            took.append(time.perf_counter() - begun[delivery.envelope.id])
            if len(took) == len(fast):
                finished.set()

    async with hop.ours(stage, hop.PING, handle, max_in_flight=64) as broker:
        await asyncio.sleep(1.0)
        for number in range(count):
            is_slow = number % 10 == 0
            if is_slow and not slow:
                continue
            name = f"{'slow' if is_slow else 'fast'}-{number}"
            begun[name] = time.perf_counter()
            record = encode(
                hop.message(number),
                id=name,
                source="/b",
                prefix=stage.prefix,
                now=datetime.now(UTC),
                key=f"{'slow' if is_slow else 'fast'}-{number % 40}",
            )
            await broker.publish(
                record.value.encode(), record.topic, key=record.key.encode(), headers=record.headers, partition=0
            )
            await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            await finished.wait()
    return took
