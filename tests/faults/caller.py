"""The caller of the fault tests: submits tasks straight into Kafka, and counts the results that come back."""

import asyncio
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from tests.faults.plans import Planned

SECONDS = 300.0
"""Wall clock a run may take: longer than any fault here lasts, so that no run ends for that."""


HUMAN_DECIDED = "waggle.human-decided.v1"
OP = re.compile(r"task-[^\s\"\\]+")
"""An operation of the ledger, as it stands in the question about a call."""


def headers(id: str, type: str = "waggle.task.v1") -> list[tuple[str, bytes]]:
    """A CloudEvents envelope, written by hand as a caller in another language would."""
    values = {"ce_specversion": "1.0", "ce_id": id, "ce_source": "/faults", "ce_type": type}
    return [(name, value.encode()) for name, value in {**values, "content-type": "application/json"}.items()]


def body_of(planned: Planned) -> dict[str, Any]:
    """The task as JSON."""
    budget = {"seconds": SECONDS, "tool_calls": 1_000, "steps": 40, "model_calls": 1_000}
    return {"objective": planned.id, "context": {"data": {"plan": planned.data()}}, "budget": budget}


class Caller:
    """Publishes, listens, and answers for the person a run asks, who looks into the ledger first."""

    def __init__(self, bootstrap: str, prefix: str, ledger: str) -> None:
        self.prefix = prefix
        self._ledger = ledger
        self.results: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By the task's id, or by the key it was posted under: every result that was delivered."""
        self.asked: set[str] = set()
        """Ids of the runs that asked a person."""
        self.in_vain = 0
        """Number of calls, among those asked about, that had not happened."""
        self.decided: dict[str, str] = {}
        """Decisions: id of the request → the operation, or the question if it is about none."""
        self.letters: list[ConsumerRecord] = []
        """Dead letters."""
        self._bootstrap = bootstrap
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=9 << 20)
        self._listening: asyncio.Task[None] | None = None
        self._duplicating: asyncio.Task[None] | None = None
        self.duplicated = 0

    async def start(self) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a Kafka that is away is what is tried here
        await self._producer.start()
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        for task in (self._listening, self._duplicating):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self._producer.stop()

    async def submit(self, planned: Planned, **task: Any) -> None:
        """Publish the task, again and again until Kafka has it, as any caller must."""
        body = json.dumps(body_of(planned) | task).encode()
        while True:
            with suppress(KafkaError, ConnectionError):
                await self.publish("tasks", body, headers(planned.id), planned.id.encode())
                return
            await asyncio.sleep(0.5)

    async def submit_to(self, gateway: str, planned: Planned) -> None:
        """Post the task, again and again under one key until it is accepted."""
        named = {"Idempotency-Key": planned.id}
        async with httpx.AsyncClient(trust_env=False, base_url=gateway, timeout=10) as client:
            while True:
                with suppress(httpx.TransportError):
                    answer = await client.post("/v1/tasks", json=body_of(planned), headers=named)
                    if answer.status_code == httpx.codes.ACCEPTED:
                        return
                await asyncio.sleep(0.2)

    async def publish(
        self, topic: str, value: bytes, pairs: list[tuple[str, bytes]], key: bytes | None, partition: int | None = None
    ) -> None:
        await self._producer.send_and_wait(self.prefix + topic, value, key=key, headers=pairs, partition=partition)

    def result(self, task_id: str) -> str | None:
        """End of the task; None if none was reported, `contradicting` if two different ones were."""
        said = {json.dumps(each, sort_keys=True) for each in self.results[task_id]}
        if len(said) > 1:
            return "contradicting"
        return str(self.results[task_id][0]["status"]) if said else None

    async def wait(self, tasks: list[Planned], seconds: float) -> None:
        """Return when each task has a result, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(not self.results[planned.id] for planned in tasks):
                    await asyncio.sleep(0.05)

    async def duplicate(self) -> None:
        """From now on, deliver every message to the orchestrator and to agents twice."""
        consumer = self._consumer("latest")
        consumer.subscribe(pattern=rf"^{self.prefix}(tasks|runs|agents\.[a-z]+)$")
        await consumer.start()
        await asyncio.sleep(1)  # until it stands at the end of every partition
        self._duplicating = asyncio.create_task(self._duplicate(consumer))

    async def _listen(self) -> None:
        consumer = self._consumer("earliest")
        consumer.subscribe(pattern=rf"^{self.prefix}(results|runs\.log|.*\.dlt)$")
        await consumer.start()
        try:
            async for record in consumer:
                await self._heard(record)
        finally:
            await consumer.stop()

    async def _heard(self, record: ConsumerRecord) -> None:
        if record.topic.endswith(".dlt"):
            self.letters.append(record)
            return
        body = json.loads(record.value)
        if record.topic.endswith("results"):
            self.results[body["idempotency_key"] or body["task_id"]].append(body)
            return
        for event in _events(body):
            if "request_id" in event and "question" in event:
                await self._decide(event)

    async def _decide(self, request: dict[str, Any]) -> None:
        """Say of a call whether it has happened, as a person can who looks. Anything else is a question too many."""
        if request["request_id"] in self.decided:
            return
        op = OP.search(request["question"])
        self.decided[request["request_id"]] = op[0] if op else request["question"]
        self.asked.add(request["run_id"])
        about = {name: request[name] for name in ("run_id", "tenant")} | {"by": "eva"}
        if op is None:
            body, topic, kind = about | {"reason": "a question too many"}, "control", "waggle.cancel-run.v1"
        else:
            async with httpx.AsyncClient(trust_env=False) as client:
                counted = (await client.get(f"{self._ledger}/effects", params={"prefix": op[0]})).json()
            self.in_vain += not counted
            said = {"decision": "approve", "answer": "it has happened" if counted else "repeat: it has not happened"}
            body, topic, kind = about | {"request_id": request["request_id"]} | said, "decisions", HUMAN_DECIDED
        pairs = headers(f"eva-{request['request_id']}", kind)
        await self.publish(topic, json.dumps(body).encode(), pairs, request["run_id"].encode())

    async def _duplicate(self, consumer: AIOKafkaConsumer) -> None:
        again: set[tuple[str, bytes]] = set()
        try:
            async for record in consumer:
                seen = (record.topic, dict(record.headers)["ce_id"])
                if seen not in again:
                    again.add(seen)
                    topic = record.topic.removeprefix(self.prefix)
                    await self.publish(topic, record.value, list(record.headers), record.key)
                    self.duplicated += 1
        finally:
            await consumer.stop()

    def _consumer(self, begin: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            auto_offset_reset=begin,
            metadata_max_age_ms=1_000,
            max_partition_fetch_bytes=9 << 20,
        )


def _events(body: Any) -> Iterator[dict[str, Any]]:
    """Every object within the body: an event is one, however it is wrapped."""
    if isinstance(body, dict):
        yield body
        for part in body.values():
            yield from _events(part)
    elif isinstance(body, list):
        for part in body:
            yield from _events(part)
