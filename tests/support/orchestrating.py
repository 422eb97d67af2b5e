"""An orchestrator in the test's own process, and the messages of a run of one step."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import patch

from prometheus_client import CollectorRegistry

from schemas.plan import AgentCard
from schemas.step import Output, StepCompleted
from schemas.task import Task
from services.orchestrator import intake
from services.orchestrator.service import Orchestrator
from services.orchestrator.settings import OrchestratorSettings
from shared import bus
from shared.blackboard import RunStore
from shared.bus import Delivery, encode
from shared.runs import run_id_for
from shared.runs.tokens import token_for
from shared.service import Parts
from shared.telemetry.metrics import Metrics

RUN = run_id_for("default", "k1")
SECRET = "drawn by the test"
CARD = AgentCard(name="data", description="tables")


@asynccontextmanager
async def orchestrating(settings, sentinel):
    broker = bus.connect(settings, "orchestrator")
    runs = RunStore(sentinel, settings.state_ttl)
    registry, own = CollectorRegistry(), OrchestratorSettings(unsigned_decisions="accept")
    parts = Parts("orchestrator", settings, registry, Metrics(registry), None, broker, sentinel, runs, None, (own,))
    await broker.start()
    try:
        with patch.object(intake, "token_hex", lambda _: SECRET):
            yield Orchestrator.of(parts)
    finally:
        await broker.stop()


def delivery(message, id: str, source: str = "/test") -> Delivery:
    record = encode(message, id=id, source=source, prefix="", now=datetime.now(UTC))
    raw = type("Raw", (), {})()
    raw.value, raw.topic, raw.partition, raw.offset, raw.key = record.value.encode(), record.topic, 0, 0, b""
    raw.headers = [(name, value.encode()) for name, value in record.headers.items()]
    return bus.decode(raw, "")


def token(handoff_id: str, agent: str) -> str:
    """Token of a handoff of a run that an orchestrator of these tests has started."""
    return token_for(SimpleNamespace(secret=SECRET), handoff_id, agent)


def task(**more) -> Delivery:
    return delivery(Task(objective="count", shape="single", agent="data", idempotency_key="k1", **more), "t1")


async def handoff_of(orchestrator) -> str:
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    return run.steps["data"].handoff_id


def completed(handoff_id: str, **facts) -> Delivery:
    about = {"id": f"{handoff_id}/answer", "run_id": RUN, "tenant": "default", "agent": "data"}
    about |= {"token": token(handoff_id, "data")} | facts
    return delivery(StepCompleted(**about, handoff_id=handoff_id, output=Output(answer="3")), f"{handoff_id}/answer")
