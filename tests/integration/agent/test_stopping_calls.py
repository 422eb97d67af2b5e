"""Calls of a run that ends or drops its plan meanwhile: the running one is finished, and no other starts."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.approval import CancelRun, HumanDecided
from schemas.event import State
from schemas.plan import Plan, PlannedStep
from schemas.step import DoStep, Findings, HandoffFailed, HelpAsked, MakePlan, PlanProposed, StepCompleted
from schemas.task import Task
from shared import bus
from shared.agent import Context
from shared.blackboard import announce, keys
from shared.runs import Intake, Run
from shared.runs.dispatch import plan_request, step_request
from shared.tools import Effect, Risk, ToolError, tool
from tests.support import gateway_fixtures
from tests.support.agent_loop import (
    FINAL,
    FINDINGS,
    agent,
    answer,
    calls_of,
    delivered,
    handoff,
    scripted,
    underway,
    worker,
)
from tests.support.gate_calls import evolved
from tests.support.gateway_fixtures import apply, begin, cancel, records_of
from tests.support.orchestrating import RUN, delivery, orchestrating
from tests.support.questions import first_asked

__all__ = ["agent", "worker"]

SIX = [{"name": "mail", "arguments": {"text": f"letter {n}"}} for n in range(6)]
mailed: list[str] = []


async def nothing() -> None:
    """Happen."""


meanwhile = nothing


@tool(risk=Risk.LOW, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}))
async def mail(text: str) -> str:
    """Mail a text."""
    mailed.append(text)
    await meanwhile()
    return "sent"


@pytest.fixture(autouse=True)
def mailing(agent, monkeypatch):
    """The agent's one tool, and what happens while it is called."""
    mailed.clear()
    agent.tools = [mail]
    monkeypatch.setitem(gateway_fixtures.AGENTS, agent.name, agent.card)
    monkeypatch.setattr(f"{__name__}.meanwhile", nothing)


def step_of(run: Run, step_id: str) -> DoStep:
    record = run.steps[step_id]
    return step_request(run, record, record.handoff_id, datetime.now(UTC), {})


def while_called(monkeypatch, happens) -> None:
    async def once() -> None:
        monkeypatch.setattr(f"{__name__}.meanwhile", nothing)
        await happens()

    monkeypatch.setattr(f"{__name__}.meanwhile", once)


async def test_of_six_calls_in_one_reply_only_the_one_under_way_is_made_when_the_run_is_cancelled(
    worker, agent, model, monkeypatch
):
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX}}, FINAL)
    run = await begin(worker.runtime.runs, "run-1", "mail six letters", agent.name)
    while_called(monkeypatch, lambda: cancel(worker.runtime.runs, "default", run.id))
    step = step_of(run, agent.name)
    reply = await worker.execute(step)
    assert mailed == ["letter 0"]
    assert isinstance(reply, HandoffFailed)
    assert reply.error.code == "unwanted"
    assert (reply.usage.model_calls, reply.usage.tool_calls) == (1, 1)
    assert reply.acted
    assert [each.name for each in reply.judged if each.action == "tool_call"] == ["mail"]


async def test_a_run_that_ends_before_a_model_call_has_none_made(worker, agent, model, monkeypatch):
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX[:1]}}, FINAL)
    run = await begin(worker.runtime.runs, "run-1", "mail a letter", agent.name)
    while_called(monkeypatch, lambda: cancel(worker.runtime.runs, "default", run.id))
    step = step_of(run, agent.name)
    reply = await worker.execute(step)
    assert reply.error.code == "unwanted"
    assert await calls_of(model, agent) == 1


async def test_a_handlers_own_calls_stop_with_the_run(worker, agent, monkeypatch):
    async def work(step: DoStep, ctx: Context) -> Findings:
        for n in range(3):
            await ctx.call("mail", text=f"letter {n}")
        return Findings(**FINDINGS)

    agent.handler = work
    run = await begin(worker.runtime.runs, "run-1", "mail three letters", agent.name)
    while_called(monkeypatch, lambda: cancel(worker.runtime.runs, "default", run.id))
    await worker.handle(delivered(step_of(run, agent.name)))
    assert mailed == ["letter 0"]


@pytest.mark.parametrize(("name", "tries"), [("put", 1), ("look", 2)])
async def test_a_failed_call_that_acts_is_not_retried_when_the_run_is_cancelled_meanwhile(
    worker, agent, monkeypatch, name, tries
):
    tried: list[str] = []

    async def fails_once(text: str) -> str:
        tried.append(text)
        await meanwhile()
        if len(tried) == 1:
            raise ToolError("busy", "not now", retryable=True)
        return "done"

    async def put(text: str) -> str:
        """Put."""
        return await fails_once(text)

    async def look(text: str) -> str:
        """Look."""
        return await fails_once(text)

    async def work(step: DoStep, ctx: Context) -> Findings:
        await ctx.call(name, text="x")
        return Findings(**FINDINGS)

    acting = tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=("text",))(put)
    agent.handler, agent.tools = work, [acting, tool(risk=Risk.LOW, effect=Effect.READ)(look)]
    run = await begin(worker.runtime.runs, "run-1", "put x", agent.name)
    while_called(monkeypatch, lambda: cancel(worker.runtime.runs, "default", run.id))
    step = step_of(run, agent.name)
    reply = await worker.execute(step)
    assert len(tried) == tries
    if name == "put":
        assert reply.error.code == "unwanted"
        assert [(each.tool, each.outcome) for each in reply.effected] == [("put", "unknown")]


async def test_an_applied_dry_run_that_is_cancelled_makes_none_of_its_remaining_calls(
    worker, agent, model, monkeypatch
):
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX}}, FINAL)
    shown, _ = await answer(worker, handoff(agent, dry_run=True))
    step = evolved(handoff(agent, run_id=shown.run_id), shown)

    async def cancelled() -> None:
        await underway(worker, step, State.CANCELLED)

    while_called(monkeypatch, cancelled)
    reply, _ = await answer(worker, step)
    assert reply.error.code == "unwanted"
    assert mailed == ["letter 0"]


async def test_a_run_that_was_written_before_handoffs_were_named_awaits_them_until_it_ends(worker, agent, model):
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX[:2]}}, FINAL)
    step = handoff(agent)
    reply, _ = await answer(worker, step)
    assert isinstance(reply, StepCompleted)
    assert not await worker.runtime.sentinel.own.hexists(keys.run("default", step.run_id), "awaited")
    await underway(worker, step, State.FAILED)
    assert await worker.runtime.runs.awaits("default", step.run_id, step.id) is False


async def test_the_result_of_a_run_cancelled_over_kafka_says_what_the_model_server_counted(
    worker, agent, model, monkeypatch, settings, sentinel
):
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX}}, FINAL)
    await announce(sentinel.own, agent.card)
    wanted = Task(objective="mail six letters", shape="single", agent=agent.name, idempotency_key="k1")
    async with orchestrating(settings, sentinel) as orchestrator:
        await orchestrator.handle(delivery(wanted, "t1"))
        (asked,) = await records_of(settings, f"agents.{agent.name}", 1)
        order = CancelRun(run_id=RUN, tenant="default", by="eva", reason="no need")
        while_called(monkeypatch, lambda: orchestrator.handle(delivery(order, "c1")))
        await worker.handle(bus.decode(asked, settings.topic_prefix))
        run = (await orchestrator.parts.runs.load("default", RUN)).run
        assert (run.state, run.over) == (State.CANCELLED, False)
        (told,) = await records_of(settings, "runs", 1)
        await orchestrator.handle(bus.decode(told, settings.topic_prefix))
        (record,) = await records_of(settings, "results", 1)
    result = bus.decode(record, settings.topic_prefix).message
    assert (result.status, result.caveats, mailed) == ("cancelled", [], ["letter 0"])
    assert (result.usage.model_calls, result.usage.tool_calls) == (await calls_of(model, agent), 1)
    assert result.steps[0].usage == result.usage


def planned(handoff: MakePlan, *steps: PlannedStep) -> PlanProposed:
    about = {"run_id": handoff.run_id, "tenant": "default", "agent": "planner", "handoff_id": handoff.id}
    return PlanProposed(id=f"{handoff.id}/answer", plan=Plan(steps=list(steps)), **about)


async def test_a_step_of_a_dropped_plan_stops_while_the_same_step_of_the_new_plan_runs(
    worker, agent, model, monkeypatch
):
    """Two workers at once: one has the step of the plan that a person rejects, the other that of the plan after it."""
    await scripted(model, agent, {"when": {"turn": 0}, "reply": {"calls": SIX}}, FINAL)
    store = worker.runtime.runs
    run = await gateway_fixtures._decide(store, None, 0, Intake("run-1", "t", Task(objective="mail six letters")))
    steps = [PlannedStep(id=key, objective="mail six letters", agent=agent.name) for key in "ab"]
    asked = plan_request(run, run.planning.handoff_id, datetime.now(UTC), gateway_fixtures.AGENTS)
    run = await apply(store, run.id, planned(asked, *steps))
    old = step_of(run, "b")
    reached, released = asyncio.Event(), asyncio.Event()

    async def dropped() -> None:
        reached.set()
        await released.wait()

    while_called(monkeypatch, dropped)
    first = asyncio.create_task(worker.execute(old))
    await asyncio.wait_for(reached.wait(), 20)
    about = {"run_id": run.id, "tenant": "default"}
    a = run.steps["a"].handoff_id
    run = await apply(
        store, run.id, HelpAsked(id=f"{a}/answer", agent=agent.name, handoff_id=a, question="may I?", **about)
    )
    rejected = {"request_id": first_asked(run).request_id, "decision": "reject", "answer": "fewer letters"}
    run = await apply(store, run.id, HumanDecided(by="eva", **rejected, **about))
    assert (run.state, run.steps) == (State.PLANNING, {})
    asked = plan_request(run, run.planning.handoff_id, datetime.now(UTC), gateway_fixtures.AGENTS)
    fewer = [each.model_copy(update={"objective": "mail fewer letters"}) for each in steps]
    run = await apply(store, run.id, planned(asked, *fewer))
    new = step_of(run, "b")
    assert new.idempotency_key != old.idempotency_key
    other = replace(worker)
    second = asyncio.create_task(other.execute(new))
    released.set()
    stopped, done = await first, await second
    assert stopped.error.code == "unwanted"
    assert isinstance(done, StepCompleted | HelpAsked)
    journal = await worker.runtime.journal(old).open()
    calls = {name for name in journal.entries() if "/call-" in name}
    assert calls == {"think-1/turn-1/call-1/intent", "think-1/turn-1/call-1"}
    assert json.loads(journal["think-1/turn-1/call-1"])
