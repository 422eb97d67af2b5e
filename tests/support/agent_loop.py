"""Shared steps of tests: agent loop."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from schemas.budget import Budget
from schemas.envelope import from_headers
from schemas.event import State
from schemas.step import DoStep
from shared import bus
from shared.agent import Agent
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.agent.spending.reservation import BudgetReservation
from shared.agent.spending.usage import UsageCounter
from shared.agent.worker import Worker
from shared.blackboard import Journal, keys
from shared.bus import encode
from shared.tools import Effect, Risk, tool
from tests.support.workers import thinking_agent, worker_of

FINDINGS = {"answer": "It is 3.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}

FINAL = {"reply": {"json": FINDINGS}}

called: list[tuple[int, int]] = []

sent: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.READ)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    called.append((a, b))
    return a + b


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}))
async def send(text: str) -> str:
    """Send a text."""
    sent.append(text)
    return "sent"


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}))
async def send_and_break(text: str) -> str:
    """Send a text."""
    sent.append(text)
    raise ConnectionResetError("the peer went away after it had taken the text")


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}))
async def send_and_tell_all(text: str) -> str:
    """Send a text."""
    sent.append(text)
    return "x" * 70_000


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    called.clear()
    sent.clear()
    return thinking_agent("calc", tmp_path, [add, send, send_and_break, send_and_tell_all])


@pytest.fixture
async def worker(agent, settings, topics, sentinel, model):
    settings = settings.model_copy(update={"openai_base_url": f"{model}/v1", "max_turns": 6})
    async with worker_of(agent, settings, sentinel) as worker:
        yield worker


def handoff(agent: Agent, **changes) -> DoStep:
    run = f"run-{uuid4().hex[:8]}"
    return DoStep(
        **{
            "id": f"{run}/s/0.0.1",
            "work_id": f"{run}/s/0.0",
            "run_id": run,
            "task_id": "t",
            "tenant": "default",
            "agent": agent.name,
            "objective": "What is 1 + 2?",
            "task_objective": "What is 1 + 2?",
            "destinations": ["hello", "hi", "one", "two"],
            "budget_left": Budget(),
            "timeout": 30,
            "deadline": datetime.now(UTC) + timedelta(seconds=30),
            "step_id": "s",
        }
        | changes
    )


async def scripted(model: str, agent: Agent, *scenarios: dict) -> None:
    async with httpx.AsyncClient(base_url=model) as client:
        for number, scenario in reversed(list(enumerate(scenarios))):
            when = {"agent": agent.name} | scenario.get("when", {})
            added = await client.post("/scenarios", json={"name": f"s{number}", **scenario, "when": when})
            added.raise_for_status()


async def calls_of(model: str, agent: Agent) -> int:
    async with httpx.AsyncClient(base_url=model) as client:
        return sum(call["agent"] == agent.name for call in (await client.get("/calls")).json()["calls"])


async def underway(worker: Worker, step: DoStep, state: State = State.EXECUTING) -> None:
    """Let the step's run be one that is known."""
    await worker.runtime.sentinel.own.hset(keys.run(step.tenant, step.run_id), "state", f'"{state}"')


async def answer(worker: Worker, step: DoStep):
    await underway(worker, step)
    journal = await worker.runtime.journal(step).open()
    return await execute(HandoffRun.of(worker.runtime, step, journal)), journal


def account_of(worker: Worker, step: DoStep, journal: Journal) -> BudgetReservation:
    """A worker's account of the spending of a handoff."""
    return BudgetReservation(step, UsageCounter(step.budget_left), worker.runtime.ledger(step), journal)


def calling(name: str = "add", **arguments) -> dict:
    return {"when": {"turn": 0}, "reply": {"calls": [{"name": name, "arguments": arguments}]}}


def delivered(step: DoStep) -> bus.Delivery:
    record = encode(step, id=step.id, source="/test", prefix="", now=datetime.now(UTC))
    return bus.Delivery(
        from_headers({name: said.encode() for name, said in record.headers.items()}), step, "t", 0, 0, 1
    )
