"""Tasks and runs that cannot be read: each accepted task ends in one result under its run's id, and lists survive."""

import json
from contextlib import suppress
from types import SimpleNamespace

import pytest

from schemas.approval import CancelRun
from schemas.event import State
from schemas.step import StepCompleted
from schemas.task import Result
from schemas.timer import DeadlinePassed, ResultDue
from services.orchestrator import changeset
from shared.blackboard import RunStore, UnreadableRun, keys
from shared.errors import InvalidMessage, TerminalError
from shared.runs import run_id_for
from shared.runs.tokens import RESULT
from shared.service.rebuild import rebuild
from tests.support.gateway_fixtures import begin, error_of, records_of, serving
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, task, token

WRONG = InvalidMessage("objectiv: extra fields are not permitted", code="invalid_payload")
DUE = ResultDue(run_id=RUN, tenant="default", end=0, token=token(RESULT, ""))
DEFECT = TerminalError("OverflowError('date value out of range')", code="defect")


def dead(settings, value: bytes, id: str = "t1", topic: str = "tasks", **headers):
    pairs = [
        ("ce_id", id.encode()),
        ("ce_source", b"/test"),
        *((name, each.encode()) for name, each in headers.items()),
    ]
    return SimpleNamespace(
        topic=settings.topic_prefix + topic, partition=0, offset=3, key=b"k", value=value, headers=pairs
    )


async def results(settings, count: int) -> list[Result]:
    return [Result.model_validate_json(each.value) for each in await records_of(settings, "results", count)]


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.mark.parametrize(
    ("value", "tenant", "key"),
    [
        (b'{"objectiv": "x", "tenant": "shop", "idempotency_key": "k1"}', "shop", "k1"),
        (b'{"objectiv": "x"}', "default", None),
        (b"no json", "default", None),
    ],
)
async def test_a_task_that_cannot_be_read_is_rejected_under_the_run_id_its_caller_has(
    orchestrator, gateway, settings, value, tenant, key
):
    for _ in range(2):
        await orchestrator.on_dead(dead(settings, value), WRONG)
    [result] = await results(settings, 1)
    run_id = run_id_for(tenant, key, "/test", "t1")
    assert (result.run_id, result.tenant, result.task_id, result.status) == (run_id, tenant, "t1", "rejected")
    assert (result.error.code, result.idempotency_key) == ("invalid_payload", key)
    shown = (await gateway.get(f"/v1/runs/{run_id}/result?tenant={tenant}")).json()
    assert shown["error"]["message"] == str(WRONG)
    async with gateway.stream("GET", f"/v1/runs/{run_id}/events?tenant={tenant}") as stream:
        assert "REJECTED" in "".join([line async for line in stream.aiter_lines()])


async def test_a_second_task_of_a_key_that_cannot_be_read_leaves_the_run_of_that_key_alone(orchestrator, settings):
    await orchestrator.handle(task())
    await orchestrator.on_dead(dead(settings, b'{"objectiv": "x", "idempotency_key": "k1"}', id="t2"), WRONG)
    assert await orchestrator.parts.runs.state("default", RUN) is State.EXECUTING


async def test_a_rejected_task_that_is_redriven_is_done_and_has_a_result_of_its_own(orchestrator, settings, sentinel):
    await orchestrator.on_dead(dead(settings, b'{"idempotency_key": "k1"}'), DEFECT)
    await orchestrator.handle(task())
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    assert (run.state, run.unread, run.resumes) == (State.REVIEWING, False, 1)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    assert (await orchestrator.parts.runs.load("default", RUN)).run == run


async def test_a_run_whose_answer_cannot_be_handled_fails_with_the_reason_and_no_later(orchestrator, settings):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))
    headers = {"ce_type": StepCompleted.wire_type(), "ce_specversion": "1.0"}
    record = dead(settings, answer.message.model_dump_json().encode(), answer.envelope.id, "runs", **headers)
    await orchestrator.on_dead(record, WRONG)
    assert await orchestrator.parts.runs.state("default", RUN) is State.EXECUTING
    await orchestrator.on_dead(record, DEFECT)
    await orchestrator.handle(delivery(DUE, "d1"))
    [result] = await results(settings, 1)
    assert (result.run_id, result.status, result.error.code) == (RUN, "failed", "defect")
    assert "OverflowError" in result.error.message


async def settling(orchestrator) -> None:
    """Let a run be cancelled while its step is at work."""
    await orchestrator.handle(task())
    order = CancelRun(run_id=RUN, tenant="default", by="ops", reason="not needed")
    await orchestrator.handle(delivery(order, "c1"))
    assert await orchestrator.parts.runs.is_over("default", RUN) is False


async def test_the_result_that_waits_is_published_when_its_timer_cannot_be_handled(orchestrator, settings):
    await settling(orchestrator)
    headers = {"ce_type": ResultDue.wire_type(), "ce_specversion": "1.0"}
    stale = DUE.model_copy(update={"end": 1})
    for timer in (stale, DUE, DUE):
        record = dead(settings, timer.model_dump_json().encode(), "d1", "runs", **headers)
        with suppress(TerminalError):
            await orchestrator.on_dead(record, DEFECT)
        assert await orchestrator.parts.runs.is_over("default", RUN) is (timer is DUE)
    [result] = await results(settings, 1)
    assert (result.run_id, result.status, result.error.code) == (RUN, "cancelled", "cancelled")


async def test_a_run_that_settles_and_cannot_be_read_has_its_result_when_that_is_due(orchestrator, settings, redis):
    await settling(orchestrator)
    await spoil(redis, "default", RUN)
    orchestrator.parts.runs._remembered.clear()
    with pytest.raises(UnreadableRun):
        await orchestrator.handle(delivery(DUE.model_copy(update={"end": 1}), "d0"))
    await orchestrator.handle(delivery(DUE, "d1"))
    [result] = await results(settings, 1)
    assert (result.run_id, result.error.code) == (RUN, "unreadable_run")
    assert await orchestrator.parts.runs.is_over("default", RUN)


async def test_answers_to_a_run_that_is_over_keep_it_no_longer_and_forged_ones_leave_no_record(orchestrator, redis):
    await settling(orchestrator)
    handoff_id = await handoff_of(orchestrator)
    await orchestrator.handle(delivery(DUE, "d1"))
    parts = [keys.run("default", RUN, part) for part in ("state", "processed", "outbox", "events")]
    await redis.expire(parts[0], 1_000)
    await orchestrator.handle(completed(handoff_id, usage={"model_calls": 2}))
    over = await orchestrator.parts.runs.load("default", RUN)
    assert over.run.usage.model_calls == 2
    assert all([await redis.ttl(part) <= 1_000 for part in parts])
    forged = completed(handoff_id, token="guessed", usage={"model_calls": 70}).message
    for number in range(2):
        with pytest.raises(TerminalError) as refused:
            await orchestrator.handle(delivery(forged, f"forged-{number}"))
        assert refused.value.code == "wrong_token"
    assert await orchestrator.parts.runs.load("default", RUN) == over
    assert orchestrator.parts.metrics.answers_refused.labels("wrong_token")._value.get() == 2


async def test_consequences_of_a_task_that_fit_no_message_are_an_error_of_the_task(orchestrator, monkeypatch):
    monkeypatch.setattr(changeset, "fits", lambda _: False)
    with pytest.raises(InvalidMessage) as refused:
        await orchestrator.handle(task())
    assert refused.value.code == "too_large"


async def spoil(redis, tenant: str, run_id: str) -> None:
    stored = json.loads(await redis.hget(keys.run(tenant, run_id), "task"))
    stored["budget"]["cost_usd"] = None
    await redis.hset(keys.run(tenant, run_id), "task", json.dumps(stored))
    await redis.hdel(keys.runs_marked(tenant), run_id)  # the release that wrote such a record had no such index


async def test_lists_survive_a_run_that_cannot_be_read_and_name_it(gateway, sentinel, settings, redis):
    store = RunStore(sentinel, settings.state_ttl)
    for run_id in ("run-a", "run-b", "run-c"):
        await begin(store, run_id)
    await spoil(redis, "default", "run-b")
    await redis.hset(keys.run("default", "run-b"), "state", '"WAITING_HUMAN"')
    lines = {each["run_id"]: each for each in (await gateway.get("/v1/runs")).json()["runs"]}
    assert lines.keys() == {"run-a", "run-b", "run-c"}
    assert lines["run-b"]["unreadable"]
    assert "cost_usd" in lines["run-b"]["reason"]
    assert not lines["run-a"]["unreadable"]
    page = (await gateway.get("/v1/approvals")).json()
    assert [each["run_id"] for each in page["unreadable"]] == ["run-b"]
    failure = error_of(await gateway.get("/v1/runs/run-b"), 409)
    assert (failure["code"], "cancel" in failure["suggested_action"]) == ("unreadable_run", True)
    answer = await gateway.post("/v1/runs/run-b/cancel", json={"by": "ops", "reason": "stuck"})
    assert answer.status_code == 202


@pytest.mark.parametrize("ending", ["cancel", "deadline"])
async def test_a_run_that_cannot_be_read_refuses_messages_and_ends_with_one_result(
    orchestrator, settings, sentinel, redis, ending
):
    await orchestrator.handle(task())
    answer = completed(await handoff_of(orchestrator))
    await spoil(redis, "default", RUN)
    orchestrator.parts.runs._remembered.clear()
    with pytest.raises(UnreadableRun):
        await orchestrator.handle(answer)
    order = CancelRun(run_id=RUN, tenant="default", by="ops", reason="stuck")
    timer = DeadlinePassed(run_id=RUN, tenant="default")
    await orchestrator.handle(delivery(order if ending == "cancel" else timer, "c1"))
    [result] = await results(settings, 1)
    assert (result.run_id, result.task_id, result.error.code) == (RUN, "t1", "unreadable_run")
    loaded = await orchestrator.parts.runs.load("default", RUN)
    assert (loaded.run.state, loaded.run.steps, loaded.version) == (State.FAILED, {}, 2)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    assert (await orchestrator.parts.runs.load("default", RUN)).run == loaded.run
