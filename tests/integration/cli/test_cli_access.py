"""Keys on the command line: created, sent to the gateway, and shown nowhere else."""

import asyncio
import json
import sys
import tomllib
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from typer.testing import CliRunner

from infra.embedded.stack import Stack
from infra.probe import free_port
from schemas.step import HelpAsked
from services.cli.app import app
from services.cli.checks.decisions import check_decisions
from services.cli.checks.endpoints import _open
from services.cli.checks.swarm import check_swarm
from services.gateway.settings import GatewaySettings
from shared.access.principals import Role, digest, new_key, read_principals
from shared.access.settings import AccessSettings
from shared.access.signing import from_secret, public_half
from shared.blackboard import RunStore
from tests.support.fake_gateway import RUN
from tests.support.gateway_fixtures import apply, begin, error_of, serving
from tests.support.questions import first_asked

ROOT = Path(__file__).parents[3]


@pytest.fixture
def key(monkeypatch, script):
    script.key = new_key()
    monkeypatch.setenv("WAGGLE_KEY", script.key)
    return script.key


def made(*arguments: str) -> dict:
    ended = CliRunner().invoke(app, ["keys", "new", *arguments, "--json"])
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_a_new_key_is_printed_once_with_the_entry_that_knows_only_its_hash(tmp_path):
    found = made("ada@example.com", "--tenant", "acme", "--tenant", "shop", "--role", "decide")
    assert found["key"] not in found["entry"]
    path = tmp_path / "keys.toml"
    path.write_text(found["entry"])
    assert read_principals(path).whose(found["key"]) == "ada@example.com"
    [entry] = tomllib.loads(found["entry"])["principals"].values()
    assert entry == {"sha256": digest(found["key"]), "tenants": ["acme", "shop"], "roles": ["decide"]}


def test_an_entry_has_the_groups_and_the_person_of_its_owner(tmp_path):
    found = made("ada-phone", "--role", "decide", "--group", "finance", "--group", "heads", "--person", 'Ada "A"')
    [entry] = tomllib.loads(found["entry"])["principals"].values()
    assert (entry["groups"], entry["person"]) == (["finance", "heads"], 'Ada "A"')
    assert CliRunner().invoke(app, ["keys", "new", "ada", "--group", "No Group"]).exit_code == 2


def test_printed_entries_can_be_copied_as_they_are(tmp_path):
    shown = CliRunner().invoke(app, ["keys", "new", "ada"]).stdout
    path = tmp_path / "keys.toml"
    path.write_text(shown[shown.index("[principals") :])
    [key] = [line for line in shown.splitlines() if line.startswith("wgl_")]
    assert read_principals(path).whose(key) == "ada"


@pytest.mark.parametrize("arguments", [["a b"], ["ada", "--tenant", "A B"], ["ada", "--role", "root"]])
def test_an_invalid_entry_is_refused(arguments):
    ended = CliRunner().invoke(app, ["keys", "new", *arguments])
    assert ended.exit_code == 2
    assert "wgl_" not in ended.output


def test_the_key_is_sent_with_every_request_to_the_gateway_and_nowhere_else(waggle, script, key):
    script.add()
    for command in (["submit", "count", "--no-wait"], ["watch", RUN], ["runs"], ["halt", "all", "--reason", "x"]):
        ended = waggle(*command)
        assert key not in ended.output
    assert script.shown == {f"Bearer {key}"}


def test_without_a_key_or_with_a_wrong_one_it_is_said_what_to_do(waggle, script, key, monkeypatch):
    for wrong in ("", new_key()):
        monkeypatch.setenv("WAGGLE_KEY", wrong)
        ended = waggle("runs")
        assert ended.exit_code == 2
        assert "requires a valid key" in ended.stderr
        assert "set WAGGLE_KEY" in ended.stderr
        assert not wrong or wrong not in ended.output
    monkeypatch.setenv("WAGGLE_KEY", "two words")
    ended = waggle("runs")
    assert (ended.exit_code, "two words" in ended.output) == (2, False)


async def test_the_mcp_server_shows_the_key_too(gateway, script, key):
    script.add()
    command = ["-m", "services.cli", "mcp", "--gateway", gateway.url]
    own = {"WAGGLE_KEY": key}
    async with Client(StdioServerParameters(command=sys.executable, args=command, cwd=ROOT, env=own)) as client:
        answer = await client.call_tool("run_status", {"run_id": RUN})
    assert not answer.is_error
    assert script.shown == {f"Bearer {key}"}


@pytest.fixture
def closed(tmp_path):
    found = made("ada", "--role", "read")
    path = tmp_path / "keys.toml"
    path.write_text(found["entry"])
    return path, found["key"]


async def examined(monkeypatch, url: str, key: str) -> dict:
    monkeypatch.setenv("WAGGLE_GATEWAY", url)
    monkeypatch.setenv("WAGGLE_KEY", key)
    monkeypatch.setenv("WAGGLE_KAFKA", f"127.0.0.1:{free_port()}")
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--json"])
    assert key == "" or key not in ended.output
    findings = json.loads(ended.stdout)["findings"]
    return next(each for each in findings if each["subject"] == "access")


async def test_the_doctor_says_whether_the_gateway_asks_for_a_key_and_takes_ours(
    settings, closed, topics, redis, monkeypatch
):
    path, key = closed
    async with serving(settings, principals=path) as client:
        url = str(client.base_url)
        taken = await examined(monkeypatch, url, key)
        assert (taken["level"], "accepts this one" in taken["found"]) == ("ok", True)
        wanted = await examined(monkeypatch, url, "")
        assert (wanted["level"], "set WAGGLE_KEY" in wanted["do"]) == ("fail", True)
        refused = await examined(monkeypatch, url, new_key())
        assert (refused["level"], "does not know this key" in refused["found"]) == ("fail", True)


async def test_the_doctor_says_when_a_key_may_not_see_which_agents_run(settings, topics, redis, tmp_path):
    path, viewer = tmp_path / "keys.toml", made("ada", "--role", Role.VIEWER.value)
    path.write_text(viewer["entry"])
    async with serving(settings, principals=path) as client:
        [found] = await check_swarm(client, "", {"Authorization": f"Bearer {viewer['key']}"})
    assert (found.level, found.subject, "may not see" in found.found) == ("warn", "swarm", True)


async def test_the_doctor_warns_of_a_reachable_gateway_that_asks_for_no_key(settings, topics, redis, monkeypatch):
    async with serving(settings) as client:
        here = await examined(monkeypatch, str(client.base_url), "")
        assert here["level"] == "ok"
    elsewhere = _open("http://gateway.example:8080")
    assert (elsewhere.level, "anyone who reaches it may do everything" in elsewhere.found) == ("warn", True)


def test_the_doctor_explains_the_effect_of_every_decision_setting(tmp_path):
    read, decide = made("ada", "--role", "read")["entry"], made("bob", "--role", "decide")["entry"]
    gateway = json.loads(CliRunner().invoke(app, ["keys", "gateway", "--json"]).stdout)
    file = tmp_path / "keys.toml"

    def said(entries: list[str], **settings: str) -> str:
        file.write_text("\n".join(entries))
        read_principals.cache_clear()
        named = {"principals": file} if entries else {}
        [finding] = check_decisions(AccessSettings(**named, **settings))
        assert bool(finding.do) == (finding.level == "warn")
        return f"{finding.level}: {finding.found}"

    assert "warn: every decision will be refused: WAGGLE_KEYS is not set" in said([])
    assert "warn: every decision will be refused: no person" in said([read, gateway["entry"]])
    assert "warn: decisions over HTTP will be refused" in said([decide])
    assert said([decide, gateway["entry"]]).startswith("ok: the orchestrator accepts decisions signed")
    assert said([], unsigned_decisions="accept").startswith("ok: unsigned decisions are accepted")
    assert said([decide], unsigned_decisions="accept").startswith("warn: unsigned decisions are accepted")
    assert GatewaySettings(signing_key=gateway["key"]).signing_key


async def test_a_gateway_that_cannot_sign_says_so_at_once_and_nothing_is_decided(settings, topics, redis, sentinel):
    await begin(RunStore(sentinel, 60), "run-1")
    run = (await RunStore(sentinel, 60).load("default", "run-1")).run
    about = {"id": "a", "run_id": "run-1", "tenant": "default", "agent": "data"}
    asked = HelpAsked(**about, handoff_id=run.steps["data"].handoff_id, question="may I?")
    request_id = first_asked(await apply(RunStore(sentinel, 60), "run-1", asked)).request_id
    body = {"by": "ada", "request_id": request_id, "decision": "approve"}
    async with serving(settings, unsigned_decisions="refuse") as client:
        error = error_of(await client.post("/v1/runs/run-1/decisions", json=body), 403)
        assert (error["code"], "WAGGLE_SIGNING_KEY" in error["suggested_action"]) == ("unsigned", True)
        assert (await client.post("/v1/runs/run-1/pause", json={"by": "ada", "reason": "x"})).status_code == 202
    async with serving(settings) as client:
        assert (await client.post("/v1/runs/run-1/decisions", json=body)).status_code == 202


def test_waggle_up_accepts_unsigned_decisions_without_keys_and_makes_the_gateways_key_with_them(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(made("ada", "--role", "decide")["entry"])
    alone = Stack(tmp_path, environment={})
    alone._decide_who_decides()
    assert alone.endpoints == {"WAGGLE_UNSIGNED_DECISIONS": "accept"}
    keyed = Stack(tmp_path, environment={"WAGGLE_KEYS": str(file)})
    keyed.state.prepare()
    keyed._decide_who_decides()
    [public] = read_principals(Path(keyed.endpoints["WAGGLE_KEYS"])).signer("services/gateway")
    assert public == public_half(from_secret(keyed._signing_key))
    assert keyed.state.keys.stat().st_mode & 0o777 == 0o600
    assert "WAGGLE_UNSIGNED_DECISIONS" not in keyed.endpoints
    strict = Stack(tmp_path, environment={"WAGGLE_UNSIGNED_DECISIONS": "refuse"})
    strict._decide_who_decides()
    assert strict.endpoints == {"WAGGLE_UNSIGNED_DECISIONS": "refuse"}
