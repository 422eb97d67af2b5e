"""Budgets, shared by many workers of one run, against a real model server that counts for itself what it is asked."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from schemas.budget import Budget, Usage
from schemas.step import DoStep, HandoffFailed, StepCompleted
from shared.agent import Agent
from shared.agent.worker import Worker
from shared.blackboard.ledger import Amounts
from shared.errors import Fenced
from shared.service.rebuild import rebuild
from shared.tools import Effect, Risk, tool
from tests.support import workers
from tests.support.agent_loop import scripted
from tests.support.workers import thinking_agent, worker_of

pytestmark = pytest.mark.broker

FINAL = {"reply": {"json": {"answer": "It is 3.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}}}
CALLING = {"when": {"turn": 0}, "reply": {"calls": [{"name": "look", "arguments": {"at": "it"}}]}}


@tool(risk=Risk.LOW, effect=Effect.READ)
async def look(at: str) -> str:
    """Look at something."""
    return at


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return thinking_agent("calc", tmp_path, [look])


@pytest.fixture
async def worker(agent, settings, topics, sentinel, model):
    settings = settings.model_copy(update={"openai_base_url": f"{model}/v1", "max_in_flight": 64})
    async with worker_of(agent, settings, sentinel) as worker:
        yield worker


async def counted(model: str, agent: Agent) -> tuple[int, int]:
    """Calls and tokens, as the server counts them."""
    async with httpx.AsyncClient(base_url=model) as client:
        calls = [each for each in (await client.get("/calls")).json()["calls"] if each["agent"] == agent.name]
    return len(calls), sum(each["usage"]["total_tokens"] for each in calls if each["usage"])


async def steps_of(worker: Worker, budget: Budget, count: int = 1) -> list[DoStep]:
    """Steps of one run, to be worked on at once."""
    return await workers.steps_of(worker, count, budget, "What is 1 + 2?")


async def work(worker: Worker, step: DoStep):
    return await worker.execute(step)


async def spent(worker: Worker, step: DoStep) -> Amounts:
    return await worker.runtime.ledger(step).read_spent()


async def test_the_ledger_the_answer_and_the_server_agree(worker, agent, model):
    await scripted(model, agent, CALLING, FINAL)
    [step] = await steps_of(worker, Budget())
    reply = await work(worker, step)
    assert isinstance(reply, StepCompleted)
    ledger = await spent(worker, step)
    assert (ledger.model_calls, ledger.tokens) == await counted(model, agent)
    assert ledger == Amounts.of(reply.usage)
    assert ledger.tool_calls == 1


async def test_a_call_that_could_pass_a_limit_is_asked_for_a_shorter_reply_or_not_made(worker, agent, model):
    await scripted(model, agent, {"reply": {"json": FINAL["reply"]["json"] | {"answer": "x" * 4_000}}})
    [step] = await steps_of(worker, Budget(output_tokens=300))
    reply = await work(worker, step)
    assert isinstance(reply, HandoffFailed)
    assert reply.error.code == "budget_exhausted"
    assert (await spent(worker, step)).output_tokens <= 300
    [other] = await steps_of(worker, Budget(tokens=1_000))
    before = await counted(model, agent)
    refused = await work(worker, other)
    assert (refused.error.code, "budget.tokens" in refused.error.message) == ("budget_exhausted", True)
    assert await counted(model, agent) == before


async def test_forty_steps_at_once_with_crashes_stay_within_the_budget_and_no_call_is_forgotten(worker, agent, model):
    """Some are cancelled in the middle of a call, as by a crash, and delivered again."""
    drawn = random.Random(3)
    await scripted(model, agent, CALLING | {"fault": {"delay": 0.05}}, FINAL | {"fault": {"delay": 0.05}})
    steps = await steps_of(worker, Budget(model_calls=60, tokens=10_000_000, output_tokens=1_000_000), 40)

    async def deliver(step: DoStep):
        if drawn.random() < 0.3:
            first = asyncio.create_task(work(worker, step))
            await asyncio.sleep(drawn.uniform(0.02, 0.2))
            first.cancel()
            with suppress(asyncio.CancelledError):
                await first
        while True:
            try:
                return await work(replaced(worker), step)
            except Fenced:  # a claim that was under way when its worker died; whoever owns the partition tries again
                continue

    replies = await asyncio.gather(*map(deliver, steps))
    calls, tokens = await counted(model, agent)
    ledger = await spent(worker, steps[0])
    done = [each for each in replies if isinstance(each, StepCompleted)]
    over = [each for each in replies if isinstance(each, HandoffFailed)]
    assert {each.error.code for each in over} == {"budget_exhausted"}
    assert done
    assert calls <= 60
    assert ledger.model_calls <= 60
    assert ledger.model_calls >= calls
    assert ledger.tokens >= tokens


def replaced(worker: Worker) -> Worker:
    """As another process would be: it shares nothing with the one that died."""
    return Worker(replace(worker.runtime, leftovers={}))


async def test_a_request_that_was_cut_off_is_counted_as_all_it_could_cost_in_ledger_and_answer(worker, agent, model):
    await scripted(model, agent, {"when": {"turn": 0}, "fault": {"delay": 5}}, FINAL)
    [step] = await steps_of(worker, Budget())
    first = asyncio.create_task(work(worker, step))
    async with asyncio.timeout(20):
        while not (await counted(model, agent))[0]:
            await asyncio.sleep(0.02)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    async with httpx.AsyncClient(base_url=model) as client:
        await client.delete("/scenarios")
    await scripted(model, agent, FINAL)
    reply = await work(replaced(worker), step)
    assert isinstance(reply, StepCompleted)
    ledger = await spent(worker, step)
    assert reply.usage.model_calls == ledger.model_calls == 2
    assert ledger == Amounts.of(reply.usage)
    assert ledger.output_tokens > 8_000  # the longest reply that was allowed


async def test_a_provider_that_claims_no_usage_is_charged_by_an_estimate(worker, agent, model):
    await scripted(model, agent, FINAL | {"fault": {"usage": [0, 0]}})
    [step] = await steps_of(worker, Budget())
    reply = await work(worker, step)
    assert reply.usage.estimated == 1
    assert (await spent(worker, step)).tokens > 0


async def test_spending_of_a_run_is_known_after_a_rebuild(worker, agent, model, orchestrator, settings):
    from tests.support.orchestrating import RUN, handoff_of, task

    await scripted(model, agent, CALLING, FINAL)
    await orchestrator.handle(task())
    asked = await handoff_of(orchestrator)
    [step] = await steps_of(worker, Budget())
    step = step.model_copy(update={"id": asked, "work_id": asked.rpartition(".")[0], "run_id": RUN})
    await work(worker, step)
    before = await spent(worker, step)
    await worker.runtime.sentinel.own.flushall()
    await rebuild(worker.runtime.sentinel, settings)
    assert await spent(worker, step) == before
    assert before.model_calls == 2
    await worker.runtime.ledger(step).settle(f"{step.work_id}/think-1/turn-1", "1.1", Amounts(tokens=10**6))
    assert await spent(worker, step) == before


def test_usage_adds_up_over_estimates():
    both = Usage(prompt_tokens=1, estimated=1) + Usage(prompt_tokens=2)
    assert (both.prompt_tokens, both.estimated) == (3, 1)
