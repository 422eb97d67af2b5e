"""The audit record over real HTTP and by the command line: questions, what is withheld, and a proof."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from shared.access.principals import Role
from tests.integration.gateway.test_access import Keyring
from tests.support.gateway_fixtures import serving
from tests.support.recording import emptied, recorded, tamper
from tests.support.remembering import until

PATH = "/v1/audit/records"


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
