"""Hands the cases in, follows their runs, and says from outside what came of each."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer

from tests.evals.case import Case
from tests.evals.judge import Outcome, judged
from tests.evals.swarm import World

AT_ONCE = 16
"""Cases under way at the same time."""
LONGEST = 60.0
"""Seconds a case may take."""
_ENDS = ("COMPLETE", "FAILED", "CANCELLED", "REJECTED")


@dataclass(slots=True)
class Life:
    """Log of a run."""

    states: list[str] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rests: asyncio.Event = field(default_factory=asyncio.Event)
    """It has ended, or waits for a person."""

    def take(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))
        if kind == "waggle.moved.v1":
            self.states.append(data["target"])
            if data["target"] in (*_ENDS, "WAITING_HUMAN"):
                self.rests.set()

    @property
    def state(self) -> str:
        return self.states[-1] if self.states else "INTAKE"


class Log:
    """Runs, as `runs.log` reports them."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._lives: dict[str, Life] = {}

    def of(self, run: str) -> Life:
        return self._lives.setdefault(run, Life())

    async def follow(self) -> None:
        async for record in self._consumer:
            change = json.loads(record.value)
            for event in change["events"]:
                self.of(change["run_id"]).take(event["type"], event["data"])


@asynccontextmanager
async def following(world: World):
    """The log of a world, read as it is written."""
    consumer = AIOKafkaConsumer(
        f"{world.prefix}runs.log",
        bootstrap_servers=world.endpoints["WAGGLE_KAFKA"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    log = Log(consumer)
    reading = asyncio.create_task(log.follow())
    try:
        yield log
    finally:
        reading.cancel()
        await consumer.stop()


async def run(world: World, cases: Sequence[Case]) -> list[Outcome]:
    """Outcome of each case. The world must have been started."""
    lanes = asyncio.Semaphore(AT_ONCE)
    async with (
        following(world) as log,
        httpx.AsyncClient(base_url=world.endpoints["WAGGLE_GATEWAY"], timeout=30) as gateway,
    ):

        async def one(case: Case) -> tuple[Case, Life]:
            async with lanes:
                return case, await _carried_out(gateway, log, case)

        lives = await asyncio.gather(*map(one, cases))
    async with httpx.AsyncClient(base_url=world.model) as model:
        records = (await model.get("/records")).json()
    effects = [json.loads(line) for line in world.effects.read_text().splitlines()] if world.effects.exists() else []
    arrived = [*world.web.arrived, *world.mail.arrived]
    return [judged(case, life.state, life.events, records[case.key], arrived, effects) for case, life in lives]


async def _carried_out(gateway: httpx.AsyncClient, log: Log, case: Case) -> Life:
    """The case's run, once it rests. One that waits for a person is left waiting: no person approves anything here."""
    answer = await gateway.post("/v1/tasks", json=await _task(gateway, case))
    assert answer.status_code == 202, (case.title, answer.text)
    life = log.of(answer.json()["run_id"])
    try:
        await asyncio.wait_for(life.rests.wait(), LONGEST)
    except TimeoutError:
        life.states.append("STUCK")
    return life


async def _task(gateway: httpx.AsyncClient, case: Case) -> dict[str, Any]:
    context = {**case.context}
    context["attachments"] = [*context.get("attachments", ())]
    for name, upload in case.uploads.items():
        headers = {"Content-Type": upload.media_type}
        kept = await gateway.post("/v1/files", params={"name": name}, content=upload.content, headers=headers)
        context["attachments"].append(kept.json())
    alone = {"shape": "single", "agent": case.steps[0].agent} if case.alone else {}
    words = {"objective": case.objective, "constraints": case.constraints, "destinations": case.destinations}
    return {**words, "context": context, **alone}
