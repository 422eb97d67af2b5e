"""A step with a hostile model: handled as a run would, and held to the invariants for any reply."""

from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

from schemas.budget import Budget
from schemas.step import Answer, DoStep, HandoffFailed, StepCompleted
from shared.agent.worker import Worker
from shared.blackboard.ledger import NANO
from shared.llm import Models
from shared.tools import Effect, Risk, tool
from tests.support import workers
from tests.support.hostile_model import PRICE, Hostile
from tests.support.malice import honest

BUDGET = Budget(tokens=120_000, output_tokens=40_000, cost_usd=0.12, model_calls=12, tool_calls=10)
ATTEMPTS = 4
"""Deliveries of a step whose failures are temporary; a run makes twelve."""

looked: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.READ)
async def look(at: str) -> str:
    """Look at something."""
    looked.append(at)
    return f"{at} is nothing special"


@asynccontextmanager
async def asking(worker: Worker, move):
    """The worker, with that server as its only model."""
    async with Hostile(move) as server:
        name = f"hostile-{uuid4().hex[:6]}"
        about = {"openai_base_url": server.url, "model_strong": name, "model_cheap": name}
        settings = worker.runtime.settings.model_copy(update=about | {"model_prices": {name: PRICE}})
        models = Models(settings, worker.runtime.sentinel.scripts, worker.runtime.metrics)
        try:
            yield Worker(replace(worker.runtime, settings=settings, models=models)), server
        finally:
            await models.close()


async def step_of(worker: Worker, budget: Budget = BUDGET, seconds: float = 8.0) -> DoStep:
    [step] = await steps_of(worker, 1, budget, seconds)
    return step


async def steps_of(worker: Worker, count: int, budget: Budget = BUDGET, seconds: float = 8.0) -> list[DoStep]:
    """Steps of one run."""
    return await workers.steps_of(worker, count, budget, "What is there to be seen? {}", seconds)


async def worked(worker: Worker, step: DoStep, attempts: int = ATTEMPTS) -> Answer:
    """The last answer: temporary failures are retried, as a run does."""
    for number in range(1, attempts + 1):
        again = step.model_copy(update={"id": f"{step.work_id}.{number}"})
        answer = await worker.execute(again)
        if not (isinstance(answer, HandoffFailed) and answer.error.retryable):
            break
    return answer


async def endured(worker: Worker, move, *, budget: Budget = BUDGET, seconds: float = 8.0) -> tuple[Answer, Hostile]:
    """Outcome of a step, after checking that the books are right and the process still works."""
    async with asking(worker, move) as (beset, server):
        step = await step_of(beset, budget, seconds)
        answer = await worked(beset, step)
        spent = await beset.runtime.ledger(step).read_spent()
    assert server.tokens <= budget.tokens
    assert server.reply_tokens <= budget.output_tokens
    assert server.dollars <= budget.cost_usd
    assert spent.tokens >= server.tokens
    assert spent.nano_usd >= round(server.dollars * NANO, 3)
    assert spent.model_calls <= budget.model_calls
    async with asking(worker, honest) as (calm, _):
        assert isinstance(await worked(calm, await step_of(calm)), StepCompleted)
    return answer, server
