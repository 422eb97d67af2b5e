"""Sessions over real HTTP: listed, shown by role and tenant, ended, and unknown."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from schemas.approval import EndSession
from shared.access.principals import digest, new_key
from shared.blackboard import RunStore
from shared.blackboard.session_facts import SessionFact, SessionFacts
from tests.support.gateway_fixtures import apply, begin, cancel, error_of, records_of, serving

pytestmark = pytest.mark.broker


async def say(store, run_id: str, session: str = "s", tenant: str = "default", objective: str = "count"):
    await begin(store, run_id, objective, session=session, tenant=tenant)
    return await cancel(store, tenant, run_id)


async def test_a_session_is_listed_and_shown_with_its_turns(gateway, store):
    await say(store, "run-a", objective="first")
    await say(store, "run-b", objective="second")
    [listed] = (await gateway.get("/v1/sessions")).json()["sessions"]
    assert (listed["session"], listed["turns"], listed["last"]["objective"]) == ("s", 2, "second")
    shown = (await gateway.get("/v1/sessions/s")).json()
    assert [turn["objective"] for turn in shown["recent"]] == ["first", "second"]
    assert (shown["tenant"], shown["ended"]) == ("default", None)
    assert (await gateway.get("/v1/runs/run-a")).json()["session"] == "s"


async def test_a_session_is_shown_with_its_facts(gateway, store, sentinel):
    await say(store, "run-a", objective="first")
    kept = SessionFact(
        content="An agent answered: <b>x</b>", run_id="run-a", at=datetime.now(UTC), origins=["page:x"], importance=0.5
    )
    await SessionFacts(sentinel).replace("default", "s", [kept])
    [fact] = (await gateway.get("/v1/sessions/s")).json()["facts"]
    assert (fact["content"], fact["origins"], fact["run_id"]) == (kept.content, ["page:x"], "run-a")
    assert "facts" not in (await gateway.get("/v1/sessions")).json()["sessions"][0]


async def test_sessions_come_in_pages(gateway, store):
    for name in "abc":
        await say(store, f"run-{name}", name)
        await asyncio.sleep(0.002)
    first = (await gateway.get("/v1/sessions", params={"limit": 2})).json()
    assert ([each["session"] for each in first["sessions"]], first["next_offset"]) == (["c", "b"], 2)
    rest = (await gateway.get("/v1/sessions", params={"limit": 2, "offset": 2})).json()
    assert ([each["session"] for each in rest["sessions"]], rest["next_offset"]) == (["a"], None)


@pytest.mark.parametrize("name", ["a/b", "a/end", "..;x", "s?x=1", "%2f", "#", "é"])
async def test_a_session_of_an_odd_name_is_shown_or_refused_clearly(gateway, store, name):
    path = f"/v1/sessions/{quote(name, safe='')}"
    if name == "é":
        assert error_of(await gateway.get(path), 422)["code"] == "invalid_request"
        return
    await say(store, "run-a", name)
    assert (await gateway.get(path)).json()["session"] == name


async def test_ending_a_session_orders_the_end_from_its_last_run_and_answers_when_it_is_in_effect(
    gateway, store, settings
):
    await say(store, "run-a")

    async def orchestrated():
        [record] = await records_of(settings, "control", 1)
        command = EndSession.model_validate_json(record.value)
        await apply(store, command.run_id, command)
        return command

    answer, command = await asyncio.gather(gateway.post("/v1/sessions/s/end", json={"by": "ada"}), orchestrated())
    assert (answer.status_code, answer.json()["run_id"]) == (202, "run-a")
    assert (command.by, command.session, command.tenant) == ("ada", "s", "default")
    shown = (await gateway.get("/v1/sessions/s")).json()
    assert (shown["recent"], shown["turns"], shown["ended"]["by"]) == ([], 0, "ada")
    error = error_of(await gateway.post("/v1/sessions/s/end", json={"by": "ada"}), 409)
    assert error["code"] == "ended"


async def test_an_unknown_or_expired_session_says_what_to_do(gateway, sentinel):
    await say(RunStore(sentinel, 60, session_ttl=0.1), "run-a")
    await asyncio.sleep(0.2)
    for answer in (await gateway.get("/v1/sessions/s"), await gateway.post("/v1/sessions/s/end", json={"by": "ada"})):
        error = error_of(answer, 404)
        assert error["code"] == "unknown_session"
        assert "expired" in error["message"]
        assert "begins it" in error["suggested_action"]


async def test_a_tenant_can_neither_see_nor_end_a_session_of_another_by_its_name(gateway, store):
    await say(store, "run-a", "secret-plan", "acme", "buy the competitor")
    for tenant in ("default", "acme.x"):
        assert (await gateway.get("/v1/sessions", params={"tenant": tenant})).json()["sessions"] == []
        error_of(await gateway.get("/v1/sessions/secret-plan", params={"tenant": tenant}), 404)
        error_of(await gateway.post("/v1/sessions/secret-plan/end", params={"tenant": tenant}, json={"by": "eve"}), 404)
    assert (await gateway.get("/v1/sessions/secret-plan", params={"tenant": "acme"})).json()["turns"] == 1


@pytest.mark.parametrize(("role", "contents"), [("viewer", False), ("read", True)])
async def test_answers_are_shown_to_those_who_may_see_contents(
    settings, topics, sentinel, tmp_path, role, contents, monkeypatch
):
    from shared.runs import conversation

    monkeypatch.setattr(conversation, "_origins", lambda *_: ["page:https://a.example/"])
    await say(RunStore(sentinel, 60), "run-a")
    key, path = new_key(), tmp_path / "keys.toml"
    path.write_text(f'[principals.ada]\nsha256 = "{digest(key)}"\ntenants = ["default"]\nroles = ["{role}"]\n')
    async with serving(settings, principals=path) as client:
        shown = (await client.get("/v1/sessions/s", headers={"Authorization": f"Bearer {key}"})).json()
        listed = (await client.get("/v1/sessions", headers={"Authorization": f"Bearer {key}"})).json()
    assert shown["recent"][0]["objective"] == "count"
    assert ("a.example" in json.dumps(shown)) is ("a.example" in json.dumps(listed)) is contents
