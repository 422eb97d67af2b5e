"""Tenants and tiers where they take effect: intake, agents, the ledger and the gateway, over real servers."""

from dataclasses import replace

import pytest

from schemas.budget import Budget
from schemas.event import State
from schemas.step import HandoffFailed, StepCompleted
from schemas.task import Task
from shared.agent.serve import worker_for
from shared.agent.worker import Worker
from shared.blackboard import keys
from shared.errors import RetryableError
from shared.runs import run_id_for
from shared.service.rebuild import rebuild
from tests.support.agent_loop import FINAL, agent, answer, called, calling, handoff, scripted, worker
from tests.support.gateway_fixtures import error_of, records_of, serving
from tests.support.orchestrating import completed, delivery, handoff_of, orchestrating

__all__ = ["agent", "worker"]

FILE = """
unknown = "free"

[tiers.free]
budget = {tokens = 10_000}
most = {tokens = 20_000}

[tenants.slow]
tasks_per_minute = 2

[tenants.poor]
day = {model_calls = 1}
"""
BOARD = ["post_to_board", "read_board", "claim_resource"]


@pytest.fixture
def declared(settings, tmp_path):
    path = tmp_path / "tenants.toml"
    path.write_text(FILE)
    return settings.model_copy(update={"tenants": path})


@pytest.fixture
async def strict(orchestrator, declared):
    orchestrator.parts.settings = declared
    return orchestrator


def wanting(**more) -> Task:
    return Task(**{"objective": "count", "shape": "single", "agent": "data", "idempotency_key": "k1"} | more)


async def run_of(orchestrator, tenant: str = "default"):
    return (await orchestrator.parts.runs.load(tenant, run_id_for(tenant, "k1"))).run


async def test_a_task_from_kafka_gets_its_tenants_defaults_and_its_handoffs_carry_them(strict):
    await strict.handle(delivery(wanting(budget=Budget(tool_calls=3)), "t1"))
    run = await run_of(strict)
    assert (run.task.budget.tokens, run.task.budget.tool_calls) == (10_000, 3)
    assert await handoff_of(strict)


async def test_a_task_that_asks_for_more_than_its_tenant_may_is_rejected_with_the_limit(strict, settings):
    await strict.handle(delivery(wanting(budget=Budget(tokens=20_001)), "t1"))
    run = await run_of(strict)
    assert (run.state, run.error.code) == (State.REJECTED, "over_limit")
    [result] = await records_of(settings, "results", 1)
    assert b"may ask for 20000 at most" in result.value


async def test_granted_limits_survive_a_lost_redis_and_a_change_of_the_file(strict, sentinel, settings):
    await strict.handle(delivery(wanting(), "t1"))
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    async with orchestrating(settings, sentinel) as open_to_all:
        run = await run_of(open_to_all)
        assert run.task.budget.tokens == 10_000
        await open_to_all.handle(completed(run.steps["data"].handoff_id))
        assert (await run_of(open_to_all)).state is State.REVIEWING


async def test_tasks_above_their_tenants_rate_come_back_at_their_turn_and_are_started(strict):
    first, second = (delivery(wanting(tenant="slow", idempotency_key=key), key) for key in ("k1", "k2"))
    await strict.handle(first)
    with pytest.raises(RetryableError, match="2 tasks per minute") as later:
        await strict.handle(second)
    assert (later.value.code, 25 < later.value.after <= 30) == ("rate_limited", True)
    assert await run_of(strict, "slow")
    await passed(strict, "k2")
    await strict.handle(second)
    assert (await strict.parts.runs.load("slow", run_id_for("slow", "k2"))).run.state is State.EXECUTING


async def passed(orchestrator, key: str) -> None:
    """Let the turn of a task come."""
    name = keys.turn("slow", run_id_for("slow", key))
    turn = float(await orchestrator.parts.redis.get(name))
    await orchestrator.parts.redis.set(name, turn - 3600, keepttl=True)


async def test_a_task_takes_one_turn_however_often_it_is_delivered_and_none_once_its_run_has_started(strict):
    first, second, third = (delivery(wanting(tenant="slow", idempotency_key=f"k{n}"), f"t{n}") for n in (1, 2, 3))
    for _ in range(5):
        await strict.handle(first)
    waits = []
    for each in (second, second, second, third):
        with pytest.raises(RetryableError) as later:
            await strict.handle(each)
        waits.append(later.value.after)
    assert 25 < waits[2] <= waits[1] <= waits[0] <= 30
    assert 55 < waits[3] <= 60


async def test_a_task_that_says_it_was_tried_before_waits_for_its_turn_all_the_same(strict):
    first, second = (delivery(wanting(tenant="slow", idempotency_key=key), key) for key in ("k1", "k2"))
    await strict.handle(first)
    with pytest.raises(RetryableError, match="2 tasks per minute"):
        await strict.handle(replace(second, envelope=second.envelope.model_copy(update={"attempt": 2})))


async def test_one_tenants_rate_does_not_hold_up_another(strict):
    for number in range(3):
        await strict.handle(delivery(wanting(idempotency_key=f"k{number}"), f"t{number}"))
        with_rate = delivery(wanting(tenant="slow", idempotency_key=f"k{number}"), f"s{number}")
        if number == 0:
            await strict.handle(with_rate)
        else:
            with pytest.raises(RetryableError):
                await strict.handle(with_rate)
    assert await run_of(strict)


async def test_a_tool_the_handoff_does_not_permit_is_neither_offered_nor_called(worker, agent, model):
    await scripted(model, agent, calling("send", text="hello"), FINAL)
    step = handoff(agent, permitted=["add"])
    bounded = worker_for(worker.runtime, step)
    reply, journal = await answer(bounded, step)
    assert isinstance(reply, StepCompleted)
    offered = journal["think-1/turn-1"]["tools"]
    assert [each["function"]["name"] for each in offered] == ["add", "ask_person", *BOARD], (
        "they act on nothing outside"
    )
    assert "there is no tool `send`; there are: add" in journal["think-1/turn-1/call-1/refused"]
    assert worker_for(worker.runtime, handoff(agent)).runtime.agent is worker.runtime.agent


async def test_a_tool_the_handoff_permits_is_called(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    step = handoff(agent, permitted=["add"])
    await answer(worker_for(worker.runtime, step), step)
    assert called == [(1, 2)]


async def test_the_day_of_a_tenant_ends_at_its_own_limit(worker, agent, model, declared):
    worker = Worker(replace(worker.runtime, settings=declared))
    await scripted(model, agent, FINAL)
    first, _ = await answer(worker, handoff(agent, tenant="poor"))
    second, _ = await answer(worker, handoff(agent, tenant="poor"))
    other, _ = await answer(worker, handoff(agent))
    assert [type(each) for each in (first, second, other)] == [StepCompleted, HandoffFailed, StepCompleted]
    assert second.error.code == "budget_exhausted"


async def test_over_http_a_task_above_the_rate_is_refused_with_a_retry_time(declared, topics, redis):
    async with serving(declared) as gateway:
        task = {"objective": "count"}
        assert (await gateway.post("/v1/tasks", json=task, params={"tenant": "slow"})).status_code == 202
        refused = await gateway.post("/v1/tasks", json=task, params={"tenant": "slow"})
        error = error_of(refused, 429)
        assert (error["code"], error["retryable"]) == ("rate_limited", True)
        assert 25 <= int(refused.headers["Retry-After"]) <= 30
        assert (await gateway.post("/v1/tasks", json=task)).status_code == 202
        assert len(await records_of(declared, "tasks", 2)) == 2


async def test_over_http_what_a_caller_has_left_out_is_left_out_in_kafka(declared, topics, redis):
    async with serving(declared) as gateway:
        sent = {"objective": "count", "budget": {"tokens": Budget().tokens}}
        assert (await gateway.post("/v1/tasks", json=sent)).status_code == 202
    [record] = await records_of(declared, "tasks", 1)
    assert Task.read(record.value).budget.model_fields_set == {"tokens"}


async def test_while_redis_is_unavailable_tasks_are_still_accepted(declared, topics):
    nowhere = declared.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    async with serving(nowhere) as gateway:
        for _ in range(2):
            answered = await gateway.post("/v1/tasks", json={"objective": "count"}, params={"tenant": "slow"})
            assert answered.status_code == 202
