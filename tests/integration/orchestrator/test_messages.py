"""Messages to a run at work through the orchestrator on real servers: once, screened, the same after a rebuild."""

import asyncio

import pytest

from schemas.approval import AddMessage
from schemas.event import State
from services.orchestrator import outbox
from shared.errors import RetryableError
from shared.service.rebuild import rebuild
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, orchestrating, task

pytestmark = pytest.mark.broker

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


def said(text: str = "only March", id: str = "m1", mark: str = "c1"):
    return delivery(AddMessage(run_id=RUN, tenant="default", by="ada", message_id=id, text=text), mark)


async def run_of(orchestrator):
    return (await orchestrator.parts.runs.load("default", RUN)).run


async def texts(orchestrator) -> list[str]:
    return [each.text for each in (await run_of(orchestrator)).messages]


async def test_a_message_is_added_once_however_often_it_is_delivered_or_sent(orchestrator):
    await orchestrator.handle(task())
    await orchestrator.handle(said())
    await orchestrator.handle(said())
    await orchestrator.handle(said(mark="c2"))
    assert await texts(orchestrator) == ["only March"]


async def test_the_guardrails_of_tasks_apply_before_anything_is_stored(orchestrator, sentinel):
    await orchestrator.handle(task())
    await orchestrator.handle(said(f"use {TOKEN} for it"))
    [text] = await texts(orchestrator)
    assert (TOKEN in text, "for it" in text) == (False, True)
    assert any("secret" in each for each in (await run_of(orchestrator)).caveats)
    for key in await sentinel.own.keys("*"):
        if await sentinel.own.type(key) == "hash":
            assert TOKEN not in str(await sentinel.own.hgetall(key)), key


async def test_a_message_to_an_unknown_run_is_retried_since_it_may_have_overtaken_its_task(orchestrator):
    with pytest.raises(RetryableError):
        await orchestrator.handle(said())


@pytest.mark.parametrize("point", ["before the write", "after the write"])
async def test_a_message_survives_the_death_of_the_orchestrator(orchestrator, settings, sentinel, monkeypatch, point):
    await orchestrator.handle(task())
    commit = orchestrator.parts.runs.commit

    async def dying(write):
        if point == "after the write":
            await commit(write)
        raise asyncio.CancelledError

    monkeypatch.setattr(orchestrator.parts.runs, "commit", dying)
    with pytest.raises(asyncio.CancelledError):
        await orchestrator.handle(said())
    async with orchestrating(settings, sentinel) as other:
        await other.handle(said())
        assert await texts(other) == ["only March"]


async def test_messages_are_the_same_after_a_rebuild_and_the_run_continues(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await orchestrator.handle(said())
    await orchestrator.handle(said("and April", "m2", "c2"))
    before = await run_of(orchestrator)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    orchestrator.parts.runs._remembered.clear()
    assert await run_of(orchestrator) == before
    await orchestrator.handle(said(mark="c3"))
    assert await texts(orchestrator) == ["only March", "and April"]
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    assert (await run_of(orchestrator)).state is State.REVIEWING


async def test_a_message_whose_change_was_not_published_when_redis_was_lost_is_added_by_the_redelivery(
    orchestrator, sentinel, settings, monkeypatch
):
    await orchestrator.handle(task())

    async def killed(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(outbox, "publish", killed)
        with pytest.raises(asyncio.CancelledError):
            await orchestrator.handle(said())
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    orchestrator.parts.runs._remembered.clear()
    assert await texts(orchestrator) == []
    await orchestrator.handle(said())
    assert await texts(orchestrator) == ["only March"]
