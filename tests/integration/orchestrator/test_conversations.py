"""Conversations through the orchestrator on real servers: each turn once, the same after a rebuild."""

import asyncio

import pytest

from schemas.approval import CancelRun, EndSession
from schemas.step import Output, ResultReviewed, StepCompleted
from schemas.task import Task
from services.orchestrator import outbox
from shared.blackboard import keys
from shared.blackboard.conversations import Conversations
from shared.errors import BlackboardLost
from shared.runs import run_id_for
from shared.service.rebuild import rebuild
from tests.support.orchestrating import delivery, orchestrating, token

pytestmark = pytest.mark.broker


def asked(number: int, session: str = "s", **more):
    key = f"{session}-{number}"
    task = Task(
        objective=f"question {number}", shape="single", agent="data", idempotency_key=key, session=session, **more
    )
    return delivery(task, f"task-{key}")


def report(run, kind, handoff_id: str, agent: str, **facts):
    about = {"id": f"{handoff_id}/answer", "run_id": run.id, "tenant": run.tenant, "agent": agent}
    return delivery(
        kind(**about, token=token(handoff_id, agent), handoff_id=handoff_id, **facts), f"{handoff_id}/answer"
    )


async def run_of(orchestrator, number: int, session: str = "s"):
    return (await orchestrator.parts.runs.load("default", run_id_for("default", f"{session}-{number}"))).run


async def last_message(orchestrator, number: int, session: str = "s"):
    """The message that ends the run, which has come so far."""
    await orchestrator.handle(asked(number, session))
    run = await run_of(orchestrator, number, session)
    output = Output(answer=f"answer {number}", confidence=0.9)
    await orchestrator.handle(report(run, StepCompleted, run.steps["data"].handoff_id, "data", output=output))
    run = await run_of(orchestrator, number, session)
    return report(run, ResultReviewed, run.reviewing.handoff_id, "reviewer", accepted=True)


async def said(orchestrator, number: int, session: str = "s"):
    await orchestrator.handle(await last_message(orchestrator, number, session))


async def ended(orchestrator, number: int, session: str = "s"):
    run = await run_of(orchestrator, number, session)
    await orchestrator.handle(
        delivery(EndSession(run_id=run.id, tenant="default", by="ada", session=session), f"end-{session}-{number}")
    )


async def view(sentinel) -> dict:
    """Everything about sessions, and how long it lives, in tenths of a second."""
    found = {}
    for key in sorted(await sentinel.own.keys("waggle:*:session*")):
        read = sentinel.own.hgetall if await sentinel.own.type(key) == "hash" else None
        content = await read(key) if read else await sentinel.own.zrange(key, 0, -1, withscores=True)
        left = 0 if key.endswith(":sessions") else round((await sentinel.own.pexpiretime(key)) / 1000)
        found[key] = left, {k: round(v / 1000) for k, v in content} if key.endswith(":sessions") else content
    return found


async def test_the_log_of_a_run_says_what_it_was_given_of_its_session(orchestrator):
    await said(orchestrator, 1)
    await orchestrator.handle(asked(2))
    given = (await run_of(orchestrator, 2)).conversation
    assert [(turn.objective, turn.answer, turn.agents) for turn in given.turns] == [
        ("question 1", "answer 1", ["data"])
    ]
    assert (await run_of(orchestrator, 1)).conversation is None


async def test_a_task_whose_session_is_at_work_sees_the_running_turn_and_does_not_wait(orchestrator):
    await orchestrator.handle(asked(1))
    await orchestrator.handle(asked(2))
    given = (await run_of(orchestrator, 2)).conversation
    assert (given.turns, given.in_progress) == ([], ["question 1"])


@pytest.mark.parametrize("point", ["before", "after"])
async def test_a_run_whose_orchestrator_dies_around_its_last_write_is_one_turn(
    orchestrator, settings, sentinel, monkeypatch, point
):
    last = await last_message(orchestrator, 1)
    commit = orchestrator.parts.runs.commit

    async def dying(write):
        if point == "after":
            await commit(write)
        raise asyncio.CancelledError

    monkeypatch.setattr(orchestrator.parts.runs, "commit", dying)
    with pytest.raises(asyncio.CancelledError):
        await orchestrator.handle(last)
    async with orchestrating(settings, sentinel) as other:
        await other.handle(last)
        await other.handle(last)
        found = await Conversations(sentinel).session("default", "s")
        assert [(turn.status, turn.answer) for turn in found.turns] == [("complete", "answer 1")]
        assert found.total == 1


async def test_sessions_are_the_same_after_a_rebuild(orchestrator, sentinel, settings):
    for number in range(1, 4):
        await said(orchestrator, number)
    await said(orchestrator, 1, "other")
    await ended(orchestrator, 3)
    await said(orchestrator, 4)
    await orchestrator.handle(asked(5))
    before = await view(sentinel)
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await orchestrator.handle(asked(6))
    await rebuild(sentinel, settings)
    assert await view(sentinel) == before
    found = await Conversations(sentinel).session("default", "s")
    assert ([turn.objective for turn in found.turns], found.total) == (["question 4", "question 5"], 2)


async def test_a_turn_that_was_not_published_when_redis_was_lost_is_written_by_the_redelivery(
    orchestrator, sentinel, settings, monkeypatch
):
    await said(orchestrator, 1)
    last = await last_message(orchestrator, 2)

    async def killed(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(outbox, "publish", killed)
        with pytest.raises(asyncio.CancelledError):
            await orchestrator.handle(last)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    assert [turn.status for turn in (await Conversations(sentinel).session("default", "s")).turns] == [
        "complete",
        "running",
    ]
    await orchestrator.handle(last)
    assert [turn.status for turn in (await Conversations(sentinel).session("default", "s")).turns] == ["complete"] * 2


async def test_a_rebuild_leaves_out_what_had_expired_and_keeps_the_turns_of_expired_runs(
    orchestrator, sentinel, settings
):
    short = settings.model_copy(update={"session_ttl": 3.0, "state_ttl": 3.0})
    async with orchestrating(short, sentinel) as chatting:
        chatting.parts.runs._session_ttl = 3.0
        await said(chatting, 1)
        await asyncio.sleep(3.4)
        await said(chatting, 2)
        await ended(chatting, 2)
        await said(chatting, 3)
        await asyncio.sleep(2.0)
        await said(chatting, 4)
        await asyncio.sleep(1.2)
        before = await view(sentinel)
        await sentinel.own.flushall()
        await rebuild(sentinel, short)
        after = await view(sentinel)
        assert await chatting.parts.runs.state("default", run_id_for("default", "s-3")) is None, "it has expired"
    assert after == before
    found = await Conversations(sentinel).session("default", "s")
    assert [turn.objective for turn in found.turns] == ["question 3", "question 4"]


async def test_a_run_whose_record_became_unreadable_is_an_ended_turn_once_it_is_cancelled(orchestrator, redis):
    await orchestrator.handle(asked(1))
    run = await run_of(orchestrator, 1)
    await redis.hset(keys.run("default", run.id), "planning", "not JSON")
    orchestrator.parts.runs._remembered.clear()
    order = CancelRun(run_id=run.id, tenant="default", by="ada", reason="enough")
    await orchestrator.handle(delivery(order, "cancel-1"))
    [turn] = (await Conversations(orchestrator.parts.sentinel).session("default", "s")).turns
    assert (turn.run_id, turn.status) == (run.id, "failed")
