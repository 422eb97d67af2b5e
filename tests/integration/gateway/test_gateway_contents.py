"""Contents of runs at the gateway: turns by page, calls with their verdicts, the task, the record, and the audit."""

import json
from unittest.mock import AsyncMock

import pytest

from services.gateway import audit
from shared.access.principals import digest, new_key
from shared.blackboard import Journal, RunStore, append_live_event, keys
from tests.support.gateway_fixtures import begin, cancel, error_of, serving
from tests.support.stages import judged, long_work

RUN = "run-a"


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=3_600)


async def got(gateway, path: str, **query) -> dict:
    found = await gateway.get(f"/v1/runs/{RUN}{path}", params=query)
    assert found.status_code == 200, found.text
    return found.json()


async def accesses(gateway, **query) -> list[tuple]:
    page = (await gateway.get("/v1/audit", params=query)).json()
    return [(each["by"], each["run_id"], each["kind"]) for each in page["accesses"]]


async def test_a_page_of_a_trace_continues_the_attempt_that_began_before_it(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=120)
    newest = await got(gateway, "/trace", events=50)
    [attempt] = newest["works"][0]["attempts"]
    assert attempt["continued"]
    assert attempt["handoff_id"] == f"{RUN}/data/0.0.1"
    assert [each["turn"] for each in attempt["actions"]] == list(range(71, 121))
    assert all(each["model"] == "m" and each["thought"] == 1 for each in attempt["actions"])
    earlier = await got(gateway, "/trace", events=50, before=newest["older"])
    assert [each["turn"] for each in earlier["works"][0]["attempts"][0]["actions"]] == list(range(21, 71))
    first = await got(gateway, "/trace", events=50, before=earlier["older"])
    assert first["older"] is None
    [attempt] = first["works"][0]["attempts"]
    assert not attempt["continued"]
    assert [each["turn"] for each in attempt["actions"]] == list(range(1, 21))


async def test_the_pages_of_a_trace_are_the_whole_of_it(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=300)
    await cancel(store, "default", RUN)
    whole = (await got(gateway, "/trace"))["works"][0]["attempts"][0]
    found, before = [], {}
    while before is not None:
        page = await got(gateway, "/trace", events=77, **before)
        found = page["works"][0]["attempts"][0]["actions"] + found
        before = {"before": page["older"]} if page["older"] else None
    shared = ("what", "turn", "thought", "at", "model")
    assert [[each[name] for name in shared] for each in found] == [
        [each[name] for name in shared] for each in whole["actions"]
    ]


async def test_an_attempt_that_failed_on_a_later_page_is_named_there(gateway, store, sentinel):
    run = await long_work(store, sentinel, RUN, turns=30)
    await cancel(store, "default", RUN)
    page = await got(gateway, "/trace", events=10)
    [attempt] = page["works"][0]["attempts"]
    assert (attempt["continued"], attempt["status"], attempt["seconds"]) == (True, "given up", None)
    assert run.steps["data"].handoff_id


async def test_turns_are_listed_by_page_without_their_contents(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=120)
    newest = await got(gateway, "/steps/data/turns", limit=50)
    assert [each["turn"] for each in newest["turns"]] == list(range(71, 121))
    assert newest["turns"][0]["calls"] == ["query"]
    assert "secret words" not in json.dumps(newest)
    older = await got(gateway, "/steps/data/turns", limit=100, skip=newest["older"])
    assert [each["turn"] for each in older["turns"]] == list(range(1, 71))
    assert older["older"] is None
    assert await accesses(gateway) == []


async def test_a_turn_shows_its_calls_with_arguments_verdict_and_result(gateway, store, sentinel):
    run = await long_work(store, sentinel, RUN, turns=3)
    await append_live_event(sentinel.scripts, judged(run, "think-1/turn-2/call-1", "reads-are-free"))
    turn = await got(gateway, "/steps/data/turns/2")
    assert turn["calls"] == [
        {
            "place": "think-1/turn-2/call-1",
            "tool": "query",
            "arguments": '{"sql": "select 2"}',
            "verdict": "allow",
            "rule": "reads-are-free",
            "reason": "it only reads",
            "result": "[[2]]",
            "made": True,
        }
    ]
    assert turn["added"] == 1
    assert turn["after"] == [1, 3]
    assert (await got(gateway, "/steps/data/turns/3"))["after"] is None


async def test_a_refused_call_shows_why_and_is_not_made(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=1)
    journal = await Journal(sentinel, "default", f"{RUN}/data/0.0", 60, AsyncMock()).open()
    await journal.write("think-1/turn-1/call-1", None)
    await journal.write("think-1/turn-1/call-1/refused", '{"error": "no"}')
    [call] = (await got(gateway, "/steps/data/turns/1"))["calls"]
    assert (call["made"], call["result"], call["verdict"]) == (False, '{"error": "no"}', None)


async def test_the_newest_messages_of_a_late_turn_are_shown_without_reading_the_others(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=450)
    turn = await got(gateway, "/steps/data/turns/450", last=3)
    assert [each["content"] for each in turn["messages"]] == [f"secret words {each}" for each in (448, 449, 450)]
    assert turn["omitted"] > 0
    whole = await got(gateway, "/steps/data/turns/450")
    assert (len(whole["messages"]), whole["omitted"]) == (450, 0)


async def test_the_task_is_shown_as_it_was_submitted(gateway, store):
    await begin(store, RUN, "count the orders", constraints=["be quick"])
    task = await got(gateway, "/task")
    assert (task["objective"], task["constraints"], task["agent"]) == ("count the orders", ["be quick"], "data")


async def test_a_record_shows_entries_with_author_and_version_and_no_secret(gateway, store, redis):
    await begin(store, RUN, "count the orders")
    await redis.hset(keys.run("default", RUN), "secret", '"never shown"')
    record = await got(gateway, "/record")
    entries = {each["name"]: each for each in record["entries"]}
    assert {"state", "plan", "step:data"} <= entries.keys()
    assert (entries["step:data"]["version"], entries["step:data"]["by"]) == (1, "orchestrator")
    assert record["version"] == 1
    assert "step-dispatched.v1" in record["writes"][0]["events"]
    assert all(each["value"] is None for each in record["entries"])
    shown = await got(gateway, "/record/contents")
    assert "count the orders" in json.dumps(shown)
    assert "never shown" not in json.dumps(shown)


async def test_every_access_to_contents_is_recorded_with_its_author(settings, topics, redis, store, sentinel, tmp_path):
    keys_of = {"ann": ["read"], "ops": ["operate"]}
    made = {name: new_key() for name in keys_of}
    path = tmp_path / "keys.toml"
    path.write_text(
        "".join(
            f'[principals.{name}]\nsha256 = "{digest(made[name])}"\ntenants = ["default"]\nroles = {roles!r}\n'
            for name, roles in keys_of.items()
        )
    )
    await long_work(store, sentinel, RUN, turns=2)
    async with serving(settings, principals=path) as gateway:
        gateway.headers["authorization"] = f"Bearer {made['ann']}"
        await got(gateway, "/steps/data/turns/1")
        await got(gateway, "/journal", handoff_id=f"{RUN}/data/0.0.1")
        await got(gateway, "/task")
        await got(gateway, "/record/contents")
        await got(gateway, "/record")
        await got(gateway, "/trace")
        error_of(await gateway.get(f"/v1/runs/{RUN}/steps/data/turns/9"), 404)
        error_of(await gateway.get("/v1/audit"), 403)
        gateway.headers["authorization"] = f"Bearer {made['ops']}"
        kinds = ["record", "task", "journal", "turn"]
        assert await accesses(gateway) == [("ann", RUN, kind) for kind in kinds]
        assert await accesses(gateway, limit=2) == [("ann", RUN, kind) for kind in kinds[:2]]
        error_of(await gateway.get("/v1/audit", params={"tenant": "acme"}), 403)


async def test_contents_are_not_shown_if_their_access_cannot_be_recorded(gateway, store, sentinel, redis):
    await long_work(store, sentinel, RUN, turns=1)
    await redis.set(keys.audit("default"), "not a stream")
    found = await gateway.get(f"/v1/runs/{RUN}/steps/data/turns/1")
    assert found.status_code >= 500
    assert "secret words" not in found.text


async def test_the_audit_keeps_a_bounded_number_for_a_bounded_time(gateway, store, sentinel, redis, monkeypatch):
    monkeypatch.setattr(audit, "MOST_KEPT", 10)
    await begin(store, RUN)
    for _ in range(250):
        await got(gateway, "/task")
    assert await redis.xlen(keys.audit("default")) < 120
    assert 0 < await redis.ttl(keys.audit("default")) <= audit.KEPT_SECONDS


async def test_no_other_tenant_is_shown_anything(gateway, store, sentinel):
    await long_work(store, sentinel, RUN, turns=1)
    for path in ("/steps/data/turns", "/steps/data/turns/1", "/task", "/record", "/trace"):
        error_of(await gateway.get(f"/v1/runs/{RUN}{path}", params={"tenant": "acme"}), 404)
    await got(gateway, "/task")
    assert await accesses(gateway, tenant="acme") == []
