"""A gateway on a loopback port, and runs for it to show."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import uvicorn
from aiokafka import AIOKafkaConsumer

from schemas.approval import CancelRun
from schemas.log import LoggedEvent
from schemas.plan import AgentCard
from schemas.task import Task
from schemas.timer import ResultDue
from services.gateway.service import application
from services.gateway.settings import GatewaySettings
from shared.blackboard import RunStore, Write
from shared.runs import Intake, Run, decide
from shared.service import connect
from shared.service.http_server import BoundedHeads
from tests.support.prompt_server import PromptServer

AGENTS = {"data": AgentCard(name="data", description="tables")}


@asynccontextmanager
async def serving(settings, port: int = 0, **own):
    """A client of a gateway with these settings, and these of its own, served over real HTTP."""
    own = GatewaySettings(**{"unsigned_decisions": "accept"} | own)
    async with served(application(connect("gateway", settings, own)), port) as client:
        yield client


@asynccontextmanager
async def served(app, port: int = 0):
    """A client of an ASGI application, served over real HTTP on a loopback port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on", http=BoundedHeads)
    server = PromptServer(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            assert not running.done(), "the server did not start"
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await running


async def begin(store: RunStore, run_id: str, objective: str = "count", agent: str = "data", **task) -> Run:
    """A run as the orchestrator would have started it."""
    wanted = Task(**{"objective": objective, "shape": "single", "agent": agent} | task)
    return await _decide(store, None, 0, Intake(run_id, f"task-of-{run_id}", wanted))


async def cancel(store: RunStore, tenant: str, run_id: str) -> Run:
    """The run, ended, and its result released."""
    run = await apply(store, run_id, CancelRun(run_id=run_id, tenant=tenant, by="ops", reason="enough"), tenant)
    if run.over:
        return run
    return await apply(store, run_id, ResultDue(run_id=run_id, tenant=tenant, end=run.resumes), tenant)


async def apply(store: RunStore, run_id: str, message, tenant: str = "default", governance=None) -> Run:
    """The run after a message. `governance`: the rules for people; default: the shipped ones."""
    run, version, _ = await store.load(tenant, run_id)
    return await _decide(store, run, version, message, governance)


async def _decide(store, run, version, message, governance=None) -> Run:
    decision = decide(run, message, datetime.now(UTC), AGENTS, governance)
    write = Write(
        at=datetime.now(UTC).isoformat(),
        message_id=f"m{version}",
        before=run,
        after=decision.run,
        version=version,
        generation=store._sentinel.generation,
        events=[LoggedEvent(type=each.wire_type(), data=each).model_dump_json() for each in decision.events],
        outbox={},
        author="orchestrator",
        why="test",
    )
    assert await store.commit(write)
    return decision.run


async def records_of(settings, topic: str, count: int) -> list:
    """The first records of a topic."""
    found = []
    async with (
        AIOKafkaConsumer(
            settings.topic_prefix + topic,
            bootstrap_servers=settings.kafka,
            auto_offset_reset="earliest",
        ) as consumer,
        asyncio.timeout(20),
    ):
        while len(found) < count:
            found.append(await consumer.getone())
    return found


def error_of(response: httpx.Response, status: int) -> dict:
    """The error in an answer, which has this status and the one shape."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"code", "message", "retryable", "suggested_action"}
    assert "Traceback" not in response.text
    return error


def sent_events(text: str) -> list[dict]:
    """The events in a stream, comments left out."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    return [block for block in blocks if "data" in block]
