"""A worker whose models are wherever a test has them."""

from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from schemas.step import DoStep, Findings
from shared import bus
from shared.agent import Agent, Context
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import Worker
from shared.archive import BlobStore
from shared.blackboard import RunStore
from shared.llm import Models
from shared.resilience import breaker as rules
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics
from tests.support.enduring import look, looked


@pytest.fixture
def agent(tmp_path: Path, monkeypatch) -> Agent:
    looked.clear()
    monkeypatch.setattr(rules, "REST", 0.1)
    (tmp_path / "instructions.md").write_text("Look at what you are told to look at, and say what you have seen.")
    made = Agent(f"look-{uuid4().hex[:6]}", description="d", instructions=tmp_path / "instructions.md", tools=[look])

    @made.handles
    async def work(step: DoStep, ctx: Context) -> Findings:
        return await ctx.think(step.objective, result=Findings)

    return made


@pytest.fixture
async def worker(agent, settings, topics, sentinel):
    """A worker whose models are nowhere yet."""
    settings = settings.model_copy(update={"model_timeout": 0.8, "step_timeout": 10.0})
    broker = bus.connect(settings, agent.name)
    await broker.start()
    metrics, archive = Metrics(CollectorRegistry()), BlobStore("postgresql://unused", 1)
    models = Models(settings, sentinel.scripts, metrics)
    runs, stops = RunStore(sentinel, 60), KillSwitch(settings)
    runtime = AgentRuntime(
        agent=agent,
        settings=settings,
        broker=broker,
        sentinel=sentinel,
        runs=runs,
        archive=archive,
        models=models,
        metrics=metrics,
        stops=stops,
    )
    yield Worker(runtime)
    await broker.stop()
    await models.close()
