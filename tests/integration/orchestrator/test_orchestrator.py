"""The orchestrator with a second replica, with an unavailable Redis, and with more than a message can hold."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.approval import PauseRun
from schemas.budget import Budget
from schemas.event import State
from schemas.fact import Source
from schemas.plan import Plan, PlannedStep
from schemas.step import Output, PlanProposed, StepCompleted
from schemas.task import Result, Task
from services.orchestrator import counting, outbox
from shared import bus
from shared.blackboard import keys
from shared.bus.admin import read_topic
from shared.errors import BlackboardLost, TerminalError
from shared.runs import decide, give_up
from shared.service.rebuild import rebuild
from tests.support.gateway_fixtures import records_of
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, orchestrating, task, token

pytestmark = pytest.mark.broker


async def run_of(orchestrator):
    return (await orchestrator.parts.runs.load("default", RUN)).run


def planned(handoff_id: str, *steps: str):
    plan = Plan(steps=[PlannedStep(id=each, objective="x", agent="data") for each in steps])
    about = {"id": f"{handoff_id}/answer", "run_id": RUN, "tenant": "default", "agent": "planner"}
    about["token"] = token(handoff_id, "planner")
    return delivery(PlanProposed(**about, handoff_id=handoff_id, plan=plan), f"{handoff_id}/answer")


def brought(handoff_id: str, output: Output):
    about = {"id": f"{handoff_id}/answer", "run_id": RUN, "tenant": "default", "agent": "data"}
    about["token"] = token(handoff_id, "data")
    return delivery(StepCompleted(**about, handoff_id=handoff_id, output=output), f"{handoff_id}/answer")


async def test_an_answer_to_what_another_replica_has_asked_is_taken_at_its_first_delivery(
    orchestrator, settings, sentinel
):
    await orchestrator.handle(delivery(Task(objective="count", idempotency_key="k1"), "t1"))
    async with orchestrating(settings, sentinel) as other:
        await other.handle(planned((await run_of(other)).planning.handoff_id, "data"))
        await orchestrator.handle(completed(await handoff_of(other)))
        assert (await run_of(other)).state is State.REVIEWING


async def test_a_pending_outbox_is_not_mistaken_for_empty_after_redis_is_flushed(
    orchestrator, sentinel, settings, monkeypatch
):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))

    async def killed(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(outbox, "publish", killed)
        with pytest.raises(asyncio.CancelledError):
            await orchestrator.handle(answer)
    read_outbox = orchestrator.parts.runs.outbox

    async def emptied(*whose):
        await sentinel.own.flushall()
        return await read_outbox(*whose)

    with monkeypatch.context() as losing:
        losing.setattr(type(orchestrator.parts.runs), "outbox", lambda _self, *whose: emptied(*whose))
        with pytest.raises(BlackboardLost):
            await orchestrator.handle(answer)
    await rebuild(sentinel, settings)
    await orchestrator.handle(answer)
    assert (await run_of(orchestrator)).state is State.REVIEWING


async def test_a_run_whose_steps_bring_more_than_a_message_holds_fails_with_the_reason(orchestrator, settings):
    await orchestrator.handle(delivery(Task(objective="count", idempotency_key="k1"), "t1"))
    await orchestrator.handle(planned((await run_of(orchestrator)).planning.handoff_id, "a", "b", "c"))
    large = Output(answer="3", sources=[Source(title="t" * 1000, uri="u" * 1000) for _ in range(1650)])
    for step in "abc":
        handoff_id = (await run_of(orchestrator)).steps[step].handoff_id
        await orchestrator.handle(brought(handoff_id, large))
    run = await run_of(orchestrator)
    assert (run.state, run.error.code) == (State.FAILED, "run_too_large")
    prefix = settings.topic_prefix
    results = [bus.decode(each, prefix) async for part in read_topic(settings, "results") for each in part]
    [result] = [each.message for each in results]
    assert isinstance(result, Result)
    assert (result.status, result.answer, result.error.code) == ("failed", None, "run_too_large")
    assert [step.status for step in result.steps] == ["done", "done", "failed"]


async def test_a_paused_run_can_be_given_up_and_one_that_has_ended_cannot(orchestrator):
    await orchestrator.handle(task())
    pause = PauseRun(id="p1", run_id=RUN, tenant="default", by="me", reason="wait")
    now = datetime.now(UTC)
    paused = decide(await run_of(orchestrator), pause, now, {}).run
    given_up = give_up(paused, now, "too much").run
    assert given_up.state is State.FAILED
    given_up = give_up(given_up, now, "its result is too much as well").run
    assert given_up.over
    with pytest.raises(TerminalError, match="too much"):
        give_up(given_up, now, "too much")


async def test_a_run_that_continues_in_another_replica_does_not_keep_the_maximum_of_handoffs_forever(
    orchestrator, monkeypatch
):
    def highest():
        [family] = orchestrator.parts.metrics.run_handoffs_highest.collect()
        return family.samples[0].value

    await orchestrator.handle(task())
    assert highest() == 1
    monkeypatch.setattr(counting, "WATCHED", 0.0)
    assert highest() == 0
    monkeypatch.undo()
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    assert highest() == 2, "it is watched again with its next change here"


def ordered(source: str, tenant: str = "default"):
    task = Task(objective=f"of {source}", shape="single", agent="nobody", tenant=tenant, budget=Budget(seconds=1))
    return delivery(task, "1001", source=source)


async def test_tasks_of_two_systems_that_share_an_id_are_two_runs_each_with_a_result_its_sender_knows(
    orchestrator, settings
):
    for source in ("/shop", "/crm", "/shop"):
        await orchestrator.handle(ordered(source))
    results = [Result.read(each.value) for each in await records_of(settings, "results", 2)]
    assert len({each.run_id for each in results}) == 2
    assert sorted((each.source, each.task_id) for each in results) == [("/crm", "1001"), ("/shop", "1001")]


async def test_an_answer_is_not_taken_for_a_repetition_of_another_systems_message_with_its_id(orchestrator):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))
    await orchestrator.handle(
        delivery(PauseRun(run_id=RUN, tenant="default", by="ada", reason="r"), answer.envelope.id)
    )
    await orchestrator.handle(answer)
    assert (await run_of(orchestrator)).steps["data"].status == "done"


async def test_a_message_that_an_earlier_version_has_marked_as_processed_changes_nothing(orchestrator, redis):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))
    await redis.sadd(keys.run("default", RUN, "processed"), answer.envelope.id)
    before = await run_of(orchestrator)
    await orchestrator.handle(answer)
    orchestrator.parts.runs._remembered.clear()
    assert await run_of(orchestrator) == before
