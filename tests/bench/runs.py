"""Whole runs of no-op steps through all services: runs a second and how long one takes."""

import asyncio
import json
import statistics
import time
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.stage import Stage

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
        AIOKafkaConsumer(stage.prefix + "results", bootstrap_servers=stage.kafka, fetch_max_wait_ms=5) as results,
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
