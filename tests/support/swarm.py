"""Shared steps of tests: swarm."""

import asyncio
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

CSV = "city,day,visitors\nBern,2024-05-01,120\nBern,2024-05-02,80\nOslo,2024-05-01,200\n"


@pytest.fixture
async def gateway(swarm):
    async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_GATEWAY"], timeout=30) as client:
        yield client


@asynccontextmanager
async def listening(swarm, *topics):
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=swarm.endpoints["WAGGLE_KAFKA"],
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=9 << 20,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def publish(swarm, topic, value: bytes, key: bytes | None = None, **headers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=swarm.endpoints["WAGGLE_KAFKA"], max_request_size=9 << 20)
    await producer.start()
    try:
        pairs = [(name.replace("content_type", "content-type"), each.encode()) for name, each in headers.items()]
        await producer.send_and_wait(topic, value, key=key, headers=pairs)
    finally:
        await producer.stop()


def envelope(task_id: str, **changes: str) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": task_id,
        "ce_source": "/shop",
        "ce_type": "waggle.task.v1",
        "content_type": "application/json",
    } | changes


async def result_for(consumer, task_id: str, seconds: float = 60) -> dict:
    async with asyncio.timeout(seconds):
        async for record in consumer:
            result = json.loads(record.value)
            if result.get("task_id") == task_id:
                return result
    raise AssertionError


async def submit(gateway, objective: str, **task) -> str:
    answer = await gateway.post("/v1/tasks", json={"objective": objective, **task})
    assert answer.status_code == 202, answer.text
    return answer.json()["run_id"]


async def follow(gateway, run_id: str, seconds: float = 90) -> list[tuple[str, dict]]:
    events, kind = [], ""
    async with asyncio.timeout(seconds), gateway.stream("GET", f"/v1/runs/{run_id}/events", timeout=seconds) as stream:
        assert stream.status_code == 200
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
    return events


async def result_of(gateway, run_id: str) -> dict:
    await follow(gateway, run_id)
    return (await gateway.get(f"/v1/runs/{run_id}/result")).json()


async def scripted(model: str, scenario: dict) -> None:
    async with httpx.AsyncClient(base_url=model) as client:
        (await client.post("/scenarios", json={"name": uuid4().hex, **scenario})).raise_for_status()
