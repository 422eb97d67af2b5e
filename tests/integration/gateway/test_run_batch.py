"""Commands to all runs that match, at a gateway over real HTTP, on a real broker and Redis."""

import asyncio
import json

import pytest

from schemas.approval import PauseRun
from services.gateway import publishing
from services.gateway.errors import unavailable
from shared.blackboard import keys
from tests.support.gateway_fixtures import apply, begin, cancel, error_of, records_of

BATCH = "/v1/runs/batch"


def order(action: str = "pause", **more) -> dict:
    return {"action": action, "filter": {"type": "report"}, "by": "ops", "reason": "too dear"} | more


async def lines(gateway, body: dict, **query) -> list[dict]:
    answer = await gateway.post(BATCH, json=body, params=query)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def pause(store, run_id: str) -> None:
    await apply(store, run_id, PauseRun(run_id=run_id, tenant="default", by="ops", reason="lunch"))


async def fleet(store) -> None:
    """Three live reports, of which one is paused; an ended one; a run of another type; and one of another tenant."""
    for n in range(4):
        await begin(store, f"run-{n}", f"objective {n}", type="report")
    await pause(store, "run-1")
    await cancel(store, "default", "run-3")
    await begin(store, "run-mail", type="mail")
    await begin(store, "run-shop", type="report", tenant="shop")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("pause", ["run-0", "run-2"]),
        ("resume", ["run-1"]),
        ("cancel", ["run-0", "run-1", "run-2"]),
        ("stop", ["run-0", "run-1", "run-2"]),
    ],
)
async def test_a_preview_counts_the_runs_that_take_the_command_and_an_order_commands_them(
    gateway, store, settings, action, expected
):
    await fleet(store)
    [seen] = await lines(gateway, order(action, dry_run=True))
    assert (seen["action"], seen["of"], seen["complete"]) == (action, len(expected), True)
    assert [run["run_id"] for run in seen["first"]] == expected
    told, *outcomes = await lines(gateway, order(action, expected=seen["of"]))
    assert told == seen
    assert [(line["n"], line["of"], line["run_id"], line["outcome"]) for line in outcomes] == [
        (n, len(expected), run_id, "accepted") for n, run_id in enumerate(expected, 1)
    ]
    records = await records_of(settings, "stops" if action == "stop" else "control", len(expected))
    assert sorted(record.key.decode().removeprefix("run:") for record in records) == expected
    assert {json.loads(record.value)["by"] for record in records} == {"ops"}
    if action != "resume":
        assert {json.loads(record.value)["reason"] for record in records} == {"too dear"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"filter": {}}, "filter"),
        ({"filter": {"retrying": False}}, "filter"),
        ({"filter": {"sate": "FAILED"}}, "sate"),
        ({"filter": {"state": "FAILED", "tenant": "shop"}}, "tenant"),
        ({"expected": None}, "expected"),
        ({"expected": -1}, "expected"),
        ({"reason": " "}, "reason"),
        ({"action": "delete"}, "action"),
        ({"by": None}, "by"),
        ({"rate": 0}, "rate"),
    ],
)
async def test_an_order_that_is_not_deliberate_is_refused(gateway, store, settings, change, named):
    await fleet(store)
    error = error_of(await gateway.post(BATCH, json=order(expected=9) | change), 422)
    assert named in error["message"]


async def test_an_order_is_refused_if_more_runs_match_than_were_previewed(gateway, store):
    await fleet(store)
    error = error_of(await gateway.post(BATCH, json=order(expected=1)), 409)
    assert (error["code"], error["message"][:6]) == ("more_than_expected", "2 runs")
    assert len(await lines(gateway, order(expected=5))) == 3


async def test_a_run_that_changed_since_it_was_selected_is_skipped_with_the_reason(gateway, store, redis, monkeypatch):
    await fleet(store)
    tag = await redis.zrange(keys.runs_tagged("default", "s:EXECUTING"), 0, -1)
    assert {"run-0", "run-2"} <= {*tag}
    publish = publishing._publish

    async def while_another_ends(*args, **more):
        await cancel(store, "default", "run-2")
        return await publish(*args, **more)

    monkeypatch.setattr(publishing, "_publish", while_another_ends)
    _, first, second = await lines(gateway, order(expected=2))
    assert (first["outcome"], second["outcome"], second["error"]["code"]) == ("accepted", "skipped", "ended")


async def test_a_batch_ends_at_the_first_run_for_which_kafka_is_unavailable(gateway, store, monkeypatch):
    await fleet(store)

    async def fails(*_, **__):
        raise unavailable("kafka_unavailable", "Kafka is unavailable; nothing was accepted")

    monkeypatch.setattr(publishing, "_publish", fails)
    selection, *outcomes = await lines(gateway, order("cancel", expected=3))
    assert selection["of"] == 3
    assert [(line["outcome"], line["error"]["code"]) for line in outcomes] == [("failed", "kafka_unavailable")]


async def test_a_batch_stops_when_the_caller_leaves_and_a_repetition_commands_the_rest(gateway, store, settings):
    for n in range(4):
        await begin(store, f"run-{n}", type="report")
    async with gateway.stream("POST", BATCH, json=order(expected=4, rate=2)) as answer:
        following = answer.aiter_lines()
        assert json.loads(await anext(following))["of"] == 4
        assert json.loads(await anext(following))["run_id"] == "run-0"
    await pause(store, "run-0")  # as the orchestrator does with the command
    await asyncio.sleep(1)
    assert len(await records_of(settings, "control", 1)) < 4
    told, *outcomes = await lines(gateway, order(expected=4))
    assert (told["of"], [line["run_id"] for line in outcomes]) == (3, ["run-1", "run-2", "run-3"])


async def test_runs_that_are_stopped_already_are_not_stopped_once_more(gateway, store):
    await fleet(store)
    await lines(gateway, order("stop", expected=3))
    async with asyncio.timeout(10):
        while (found := await lines(gateway, order("stop", dry_run=True)))[0]["of"]:
            await asyncio.sleep(0.05)
    assert found[0]["first"] == []
    stopped = {"filter": {"stopped": True}}
    [seen] = await lines(gateway, order("cancel", dry_run=True) | stopped)
    assert [run["run_id"] for run in seen["first"]] == ["run-0", "run-1", "run-2"]
