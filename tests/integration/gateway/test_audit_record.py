"""The audit record over real HTTP and by the command line: questions, what is withheld, and a proof."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.access.principals import Role
from shared.audit import Place
from shared.audit.store import Recorded
from tests.integration.gateway.test_access import Keyring
from tests.support.gateway_fixtures import serving
from tests.support.recording import draft, emptied, recorded, tamper
from tests.support.remembering import until

PATH, COST = "/v1/audit/records", "/v1/audit/cost"


@pytest.fixture
async def record(parts):
    store = await emptied(parts["WAGGLE_POSTGRES"])
    await store.append(recorded(0, 12, tenant="acme") + recorded(12, 1, tenant="other"))
    yield store
    await store.close()


async def test_pages_have_each_row_once_and_contents_only_if_they_are_asked_for(gateway, record):
    query = {"tenant": "acme", "kind": "tool_call", "name": "send_email", "limit": 5}
    numbers, cursor = [], ""
    while cursor is not None:
        page = (await gateway.get(PATH, params=query | ({"cursor": cursor} if cursor else {}))).json()
        numbers += [row["number"] for row in page["rows"]]
        assert {row["state"] for row in page["rows"]} == {"withheld"}
        cursor = page["next_cursor"]
    assert numbers == list(range(12, 0, -1))
    query = {"tenant": "acme", "arguments": "text*11", "contents": "true"}
    [row] = (await gateway.get(PATH, params=query)).json()["rows"]
    assert row["contents"] == {"arguments": "text 11"}
    [shown] = (await gateway.get("/v1/audit", params={"tenant": "acme"})).json()["accesses"]
    assert shown["kind"] == "audit"
    assert (await gateway.get(PATH, params={"cursor": "9" * 20 + "~1"})).status_code == 422
    assert (await gateway.get(PATH, params={"kind": "unknown"})).status_code == 422


async def test_an_auditor_sees_facts_of_their_tenant_and_needs_a_role_for_contents(
    settings, topics, redis, record, tmp_path
):
    keyring, file = Keyring(), tmp_path / "keys.toml"
    keyring.add("auditor", ["acme"], [Role.AUDIT])
    keyring.add("reader", ["acme"], [Role.AUDIT, Role.CONTENTS])
    file.write_text("\n".join(keyring.lines))
    async with serving(settings, principals=file) as gateway:

        async def status(name: str, **query) -> int:
            return (await gateway.get(PATH, params=query, headers=keyring[name])).status_code

        assert await status("auditor", tenant="acme") == 200
        assert await status("auditor", tenant="other") == 403
        assert await status("auditor", tenant="acme", contents="true") == 403
        assert await status("auditor", tenant="acme", arguments="text") == 403
        assert await status("reader", tenant="acme", contents="true") == 200


async def test_the_command_proves_the_record_and_names_a_changed_row(settings, record, monkeypatch):
    monkeypatch.setenv("WAGGLE_POSTGRES", settings.postgres)

    def proofs() -> tuple[int, list]:
        done = CliRunner().invoke(app, ["audit", "verify", "--json"])
        return done.exit_code, json.loads(done.stdout)

    code, found = await asyncio.to_thread(proofs)
    assert (code, [(each["tenant"], each["rows"], each["fault"]) for each in found]) == (
        0,
        [("acme", 12, None), ("other", 1, None)],
    )
    await tamper(record, "UPDATE audit_records SET by = 'Eve' WHERE tenant = 'acme' AND number = 7")
    code, found = await asyncio.to_thread(proofs)
    assert code == 1
    assert found[0]["fault"]["number"] == 7


async def test_refused_keys_are_recorded_without_the_key_for_callers_of_all_tenants(
    settings, topics, redis, tmp_path, parts
):
    store = await emptied(parts["WAGGLE_POSTGRES"])
    await store.close()
    keyring, file, found = Keyring(), tmp_path / "keys.toml", []
    keyring.add("auditor", ["acme"], [Role.AUDIT])
    keyring.add("chief", ["*"], [Role.AUDIT, Role.CONTENTS])
    file.write_text("\n".join(keyring.lines))
    async with serving(settings, principals=file) as gateway:
        for _ in range(3):
            assert (await gateway.get(PATH, headers={"Authorization": "Bearer wrong-key"})).status_code == 401
        query = {"system": "true", "kind": "refusal", "name": "unknown_key", "contents": "true"}
        assert (
            await gateway.get(PATH, params=query | {"tenant": "acme"}, headers=keyring["auditor"])
        ).status_code == 403

        async def shown():
            answer = await gateway.get(PATH, params=query, headers=keyring["chief"])
            if answer.status_code == 429:  # it asks more often than a tenant may
                return False
            found[:] = [row for row in answer.json()["rows"] if row["contents"]["path"] == PATH]
            return sum(row["facts"]["number"] for row in found) == 3

        await until(shown, 60)
        assert "wrong-key" not in json.dumps(found)


async def test_commands_hold_and_release_a_tenant(settings, record, monkeypatch):
    monkeypatch.setenv("WAGGLE_POSTGRES", settings.postgres)

    def ran(*command: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *command])
        return done.exit_code, done.output

    assert (await asyncio.to_thread(ran, "keep", "acme", "--days", "10"))[0] == 2
    assert (await asyncio.to_thread(ran, "keep", "acme", "--days", "31"))[0] == 0
    assert "a lawsuit" in (await asyncio.to_thread(ran, "hold", "acme", "--reason", "a lawsuit"))[1]
    assert "legal hold" in (await asyncio.to_thread(ran, "retention", "--tenant", "acme"))[1]
    assert json.loads((await asyncio.to_thread(ran, "prune", "--json"))[1]) == {"acme": 0, "other": 0}
    assert "31 days" in (await asyncio.to_thread(ran, "release", "acme"))[1]


async def test_costs_are_summed_up_by_agent_and_task_type_within_a_month_and_a_tenant(gateway, record):
    call = {"kind": "model_call", "name": "m1", "agent": "data", "tokens_in": 100, "tokens_out": 20, "contents": None}
    started = {"kind": "transition", "name": "run-started", "facts": {"task_type": "report"}, "contents": None}
    drafts = [
        draft(-60 * 24 * 10, run_id="r1", **started),
        draft(-60 * 24 * 9, run_id="r1", cost=5.0, **call),  # in September
        draft(1, run_id="r1", cost=0.25, **call),
        draft(2, run_id="r1", cost=0.5, **call | {"agent": "research"}),
        draft(3, run_id="r2", cost=0.125, **call),
        draft(4, run_id="r1", kind="tool_call", name="pay", agent="data", outcome="made", cost=1.0),
        draft(5, run_id="r1", kind="tool_call", name="pay", agent="data", outcome="refused"),
        draft(6, run_id="r1", kind="model_call", agent="data", outcome="lost"),
    ]
    elsewhere = draft(1, tenant="other", run_id="r1", cost=7.0, **call)
    places = [Recorded(Place("journal", 1, n), [each]) for n, each in enumerate([*drafts, elsewhere])]
    await record.append(places)
    found = (
        await gateway.get(COST, params={"tenant": "acme", "month": "2026-10", "by": ["agent", "task_type"]})
    ).json()
    assert [(each["names"], each["cost_usd"], each["model_calls"], each["tool_calls"]) for each in found["lines"]] == [
        (["data", "report"], 1.25, 1, 1),
        (["research", "report"], 0.5, 1, 0),
        (["data", "(none)"], 0.125, 1, 0),
        (["(none)", "(none)"], 0.0, 0, 12),
    ]
    assert (found["total"]["cost_usd"], found["total"]["lost"], found["total"]["tokens_in"]) == (1.875, 1, 300)
    assert found["complete"]
    query = {"tenant": "acme", "since": "2026-09-01T00:00Z", "until": "2026-12-01T00:00Z", "by": "day", "limit": 1}
    longer = (await gateway.get(COST, params=query)).json()
    assert ([each["names"] for each in longer["lines"]], longer["complete"]) == ([["2026-09-26"]], False)
    for wrong in ({"month": "2026-13"}, {"month": "2026-10", "since": "2026-10-01T00:00Z"}, {"by": "secret"}):
        assert (await gateway.get(COST, params=wrong)).status_code == 422
