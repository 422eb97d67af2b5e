"""Agents and workers for tests, on the broker and the Redis of the test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from prometheus_client import CollectorRegistry

from schemas.budget import Budget
from schemas.event import State
from schemas.step import DoStep, Findings
from shared import bus
from shared.agent import Agent, Context
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import Worker
from shared.archive import BlobStore
from shared.blackboard import RunStore, Sentinel, keys
from shared.config import Settings
from shared.llm import Models
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics
from shared.tools import Tool


def thinking_agent(name: str, folder: Path, tools: Sequence[Tool], prompt: str = "Calculate.") -> Agent:
    """An agent of a unique name that lets the model work on each step."""
    instructions = folder / "instructions.md"
    instructions.write_text(prompt)
    made = Agent(f"{name}-{uuid4().hex[:6]}", description="d", instructions=instructions, tools=list(tools))

    @made.handles
    async def work(step: DoStep, ctx: Context) -> Findings:
        return await ctx.think(step.objective, result=Findings)

    return made


@asynccontextmanager
async def worker_of(
    agent: Agent, settings: Settings, sentinel: Sentinel, metrics: Metrics | None = None
) -> AsyncIterator[Worker]:
    """A worker without an archive, for as long as the block."""
    metrics = metrics or Metrics(CollectorRegistry())
    models = Models(settings, sentinel.scripts, metrics)
    broker = bus.connect(settings, agent.name)
    await broker.start()
    runtime = AgentRuntime(
        agent=agent,
        settings=settings,
        broker=broker,
        sentinel=sentinel,
        runs=RunStore(sentinel, 60),
        archive=BlobStore("postgresql://unused", 1),
        models=models,
        metrics=metrics,
        stops=KillSwitch(settings),
    )
    try:
        yield Worker(runtime)
    finally:
        await broker.stop()
        await models.close()


async def steps_of(worker: Worker, count: int, budget: Budget, objective: str, seconds: float = 60.0) -> list[DoStep]:
    """Steps of one run, ready to be worked on. `{}` in the objective is the step's number."""
    run = f"run-{uuid4().hex[:8]}"
    await worker.runtime.sentinel.own.hset(keys.run("default", run), "state", f'"{State.EXECUTING}"')
    return [
        DoStep(
            id=f"{run}/s{number}/0.0.1",
            work_id=f"{run}/s{number}/0.0",
            run_id=run,
            task_id="t",
            tenant="default",
            agent=worker.runtime.agent.name,
            objective=objective.format(number),
            budget=budget,
            budget_left=budget,
            timeout=seconds,
            deadline=datetime.now(UTC) + timedelta(seconds=60),
            step_id=f"s{number}",
        )
        for number in range(count)
    ]
