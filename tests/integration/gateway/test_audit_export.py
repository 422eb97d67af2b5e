"""Exports of the audit record over real HTTP and by the command line: every row once, whole files or none."""

import asyncio
import json

import duckdb
import httpx
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.gateway import audit_export
from shared.access.principals import Role
from shared.audit.finding import find
from tests.integration.gateway.test_access import Keyring
from tests.support.gateway_fixtures import serving
from tests.support.recording import emptied, recorded

PATH = "/v1/audit/export"


@pytest.fixture
async def record(parts, monkeypatch):
    monkeypatch.setattr(audit_export, "AT_ONCE", 5)
    store = await emptied(parts["WAGGLE_POSTGRES"])
    await store.append(recorded(0, 12, tenant="acme") + recorded(12, 1, tenant="other"))
    yield store
    await store.close()


def rows(answer: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_all_rows_of_the_tenant_are_exported_once_without_contents_unless_asked_for(gateway, record):
    answer = await gateway.get(PATH, params={"tenant": "acme"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-acme.jsonl"'
    assert [each["number"] for each in rows(answer)] == list(range(12, 0, -1))
    assert {each["state"] for each in rows(answer)} == {"withheld"}
    some = {"tenant": "acme", "arguments": "text*1", "contents": "true"}
    assert [each["contents"] for each in rows(await gateway.get(PATH, params=some))] == [
        {"arguments": f"text {n}"} for n in (11, 10, 1)
    ]
    [shown] = (await gateway.get("/v1/audit", params={"tenant": "acme"})).json()["accesses"]
    assert shown["kind"] == "audit"
    assert (await gateway.get(PATH, params={"tenant": "acme", "name": "none"})).text == ""
    assert (await gateway.get(PATH, params={"kind": "unknown"})).status_code == 422


async def test_an_export_needs_the_role_and_its_contents_another_one(settings, topics, redis, record, tmp_path):
    keyring, file = Keyring(), tmp_path / "keys.toml"
    keyring.add("auditor", ["acme"], [Role.AUDIT])
    keyring.add("viewer", ["acme"], [Role.VIEWER])
    file.write_text("\n".join(keyring.lines))
    async with serving(settings, principals=file) as gateway:

        async def status(name: str, **query) -> int:
            return (await gateway.get(PATH, params=query, headers=keyring[name])).status_code

        assert await status("auditor", tenant="acme") == 200
        assert await status("auditor", tenant="other") == 403
        assert await status("auditor", tenant="acme", contents="true") == 403
        assert await status("auditor", tenant="acme", system="true") == 403
        assert await status("viewer", tenant="acme") == 403


async def test_files_have_every_row_as_lines_and_as_parquet(gateway, record, tmp_path, monkeypatch):
    monkeypatch.setenv("WAGGLE_GATEWAY", str(gateway.base_url))

    def ran(*command: str):
        return CliRunner().invoke(app, ["audit", "export", *command, "--tenant", "acme"])

    lines, table = tmp_path / "rows.jsonl", tmp_path / "it's rows.parquet"
    done = await asyncio.to_thread(ran, str(lines))
    assert (done.exit_code, "12 rows" in done.output) == (0, True)
    kept = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [each["number"] for each in kept] == list(range(12, 0, -1))
    assert (await asyncio.to_thread(ran, str(table), "--contents")).exit_code == 0
    with duckdb.connect() as database:
        found = database.execute(
            "SELECT number, name, contents->>'arguments', epoch(\"at\") FROM read_parquet(?) ORDER BY number",
            [str(table)],
        ).fetchall()
    assert [each[:3] for each in found] == [(n, "send_email", f"text {n - 1}") for n in range(1, 13)]
    assert found[1][3] - found[0][3] == 60
    printed = await asyncio.to_thread(ran, "-", "--tool", "send_email")
    assert [json.loads(line)["number"] for line in printed.stdout.splitlines()] == list(range(12, 0, -1))
    empty = tmp_path / "none.parquet"
    assert (await asyncio.to_thread(ran, str(empty), "--tool", "none")).exit_code == 0
    with duckdb.connect() as database:
        assert database.execute("SELECT count(*) FROM read_parquet(?)", [str(empty)]).fetchall() == [(0,)]


async def test_a_file_is_not_replaced_unless_asked_and_a_wrong_name_is_refused(gateway, record, tmp_path, monkeypatch):
    monkeypatch.setenv("WAGGLE_GATEWAY", str(gateway.base_url))

    def ran(*command: str):
        return CliRunner().invoke(app, ["audit", "export", *command, "--tenant", "acme"])

    file = tmp_path / "rows.jsonl"
    file.write_text("mine")
    refused = await asyncio.to_thread(ran, str(file))
    assert (refused.exit_code, "--force" in refused.output, file.read_text()) == (2, True, "mine")
    assert (await asyncio.to_thread(ran, str(tmp_path / "rows.csv"))).exit_code == 2
    nowhere = await asyncio.to_thread(ran, str(tmp_path / "missing" / "rows.jsonl"))
    assert (nowhere.exit_code, "cannot be written" in nowhere.output) == (1, True)
    assert (await asyncio.to_thread(ran, str(file), "--force")).exit_code == 0
    assert len(file.read_text().splitlines()) == 12


async def test_an_export_that_breaks_off_leaves_the_old_file_and_no_part_of_a_new_one(
    gateway, record, tmp_path, monkeypatch
):
    async def broken(*asked):
        if len(asked) == 5:  # not the first page
            raise ConnectionError("Postgres has gone")
        return await find(*asked)

    monkeypatch.setattr(audit_export, "find", broken)
    monkeypatch.setenv("WAGGLE_GATEWAY", str(gateway.base_url))
    file = tmp_path / "rows.jsonl"
    file.write_text("old")
    command = ["audit", "export", str(file), "--force", "--tenant", "acme"]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code not in (0, 2)
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]
    assert file.read_text() == "old"
