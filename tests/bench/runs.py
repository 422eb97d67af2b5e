"""Whole runs of no-op steps through all services: runs a second and how long one takes."""

import asyncio
import json
import os
import signal
import statistics
import time
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.stage import Stage
from tests.bench.table import Row, against

HEADERS = {
    "ce_specversion": "1.0",
    "ce_source": "/bench",
    "ce_type": "waggle.task.v1",
    "content-type": "application/json",
}


async def drive(stage: Stage, at_once: int, total: int, **task: object) -> tuple[float, list[float]]:
    """Publish tasks so that `at_once` are open until `total` have ended. Returns seconds, and each run's seconds."""
    value = json.dumps({"objective": "nothing", "budget": {"steps": 12, "seconds": 600}} | task).encode()
    begun: dict[str, float] = {}
    took: list[float] = []
    async with (
        AIOKafkaProducer(bootstrap_servers=stage.kafka, acks="all") as producer,
        AIOKafkaConsumer(stage.prefix + "results", bootstrap_servers=stage.kafka) as results,
    ):
        await results.seek_to_end()

        async def submit() -> None:
            task_id = uuid4().hex
            begun[task_id] = time.perf_counter()
            headers = [(name, each.encode()) for name, each in (HEADERS | {"ce_id": task_id}).items()]
            await producer.send_and_wait(stage.prefix + "tasks", value, key=task_id.encode(), headers=headers)

        started = time.perf_counter()
        for _ in range(at_once):
            await submit()
        while len(took) < total:
            async with asyncio.timeout(60):
                record = await results.getone()
            result = json.loads(record.value)
            if result["task_id"] not in begun:
                continue
            assert result["status"] == "complete", result["error"]
            took.append(time.perf_counter() - begun.pop(result["task_id"]))
            if len(took) + len(begun) < total:
                await submit()
        return time.perf_counter() - started, took


def percentile(values: list[float], percent: int) -> float:
    """Of a list of seconds, in seconds."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


async def speed(stage: Stage, scale: float) -> list[Row]:
    """5-step runs at 1, 8 and 32 at once, all services running and warm: a JVM's broker compiles what it runs."""
    rows = []
    await stage.fresh()
    await stage.swarm("planner", "worker", "reviewer")
    await drive(stage, 8, int(300 * scale) + 8)
    for at_once, total in ((1, 30), (8, 240), (32, 480)):
        seconds, took = await drive(stage, at_once, max(10, int(total * scale)))
        rate, p99 = len(took) / seconds, 1e3 * percentile(took, 99)
        aim = {"target": "≥ 308/s (first 140/s)", "reached": rate >= 308} if at_once == 8 else {}
        rows.append(Row(f"5-step runs, {at_once} at once", rate, "runs/s", **aim))
        aim = {"target": "≤ 40 ms", "reached": p99 <= 40} if at_once == 8 else {}
        p50 = f"p50 {1e3 * percentile(took, 50):.0f} ms"
        rows.append(Row(f"5-step runs, {at_once} at once: p99", p99, "ms", note=p50, **aim))
    await stage.clear()
    return rows


async def replicas(stage: Stage, scale: float) -> list[Row]:
    """The same with 1, 2 and 4 workers, 32 at once."""
    rows: list[Row] = []
    for count in (1, 2, 4):
        await stage.fresh()
        await stage.swarm("planner", "reviewer", *(f"worker-{number}" for number in range(count)))
        await drive(stage, 8, 16)
        seconds, took = await drive(stage, 32, max(32, int(200 * scale)))
        rate = len(took) / seconds
        rows.append(against(f"5-step runs, {count} workers", rate, "runs/s", rows[0].value if rows else rate))
        await stage.clear()
    return rows


async def recovery(stage: Stage, kills: int) -> list[Row]:
    """A worker is killed and started again by its supervisor: how long until its next step is done."""
    await stage.fresh()
    await stage.swarm("planner", "worker", "reviewer")
    await drive(stage, 4, 12)
    gaps = []
    async with AIOKafkaConsumer(stage.prefix + "runs", bootstrap_servers=stage.kafka) as answers:
        await answers.seek_to_end()
        for _ in range(kills):
            driving = asyncio.create_task(drive(stage, 4, 12))
            await asyncio.sleep(0.3)
            killed = time.perf_counter()
            os.kill(stage.children["worker"].pid, signal.SIGKILL)
            await asyncio.sleep(0.05)  # what was on its way has arrived
            await answers.seek_to_end()
            async for record in answers:
                if json.loads(record.value).get("agent") == "worker":
                    break
            gaps.append(time.perf_counter() - killed)
            await driving
    await stage.clear()
    worst = max(gaps)
    note = f"p50 {percentile(gaps, 50):.2f} s, {kills} kills"
    return [
        Row("kill -9 of a worker to its next step: worst", worst, "s", target="≤ 5 s", reached=worst <= 5, note=note)
    ]
