"""`waggle doctor` against the real thing, whole and broken."""

import asyncio
import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from infra import topics as declared_topics
from infra.probe import free_port
from schemas.plan import AgentCard, Risk, ToolCard
from services.cli.app import app
from services.cli.checks.check_result import clock
from shared.blackboard import Sentinel, announce
from shared.tools.runtime import limits_in

pytestmark = pytest.mark.broker


@pytest.fixture
def environment(parts, kafka, model, monkeypatch):
    """Environment of a service next to the real servers; its topics do not exist."""
    given = {
        **{name: parts[name] for name in ("WAGGLE_KAFKA", "WAGGLE_REDIS", "WAGGLE_POSTGRES", "WAGGLE_SMTP")},
        "WAGGLE_TOPIC_PREFIX": f"t{uuid4().hex[:8]}.",
        "OPENAI_BASE_URL": f"{model}/v1",
        "WAGGLE_GATEWAY": f"http://127.0.0.1:{free_port()}",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


WIDE = ("runs.log", "journal", "timers")
"""The topics with more partitions than four."""


def make(environment, topics):
    asyncio.run(declared_topics.create(environment["WAGGLE_KAFKA"], environment["WAGGLE_TOPIC_PREFIX"], topics))


def examined():
    """The findings by what was looked at, and the exit code."""
    ended = CliRunner().invoke(app, ["doctor", "--json"])
    document = json.loads(ended.stdout)
    assert document["ok"] == (ended.exit_code == 0)
    found = {}
    for each in document["findings"]:
        found.setdefault(each["subject"], []).append(each)
    return found, ended.exit_code


def only(found, subject, level):
    [finding] = found[subject]
    assert finding["level"] == level, finding
    assert finding["do"] or level == "ok"
    return finding["found"] + " " + finding["do"]


def test_a_running_swarm_has_nothing_that_fails(swarm, request, monkeypatch):
    for name, value in swarm.endpoints.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WAGGLE_TOPIC_PREFIX", swarm._environment["WAGGLE_TOPIC_PREFIX"])
    found, code = examined()
    assert code == 0, found
    for subject in (
        "settings",
        "kafka",
        "redis",
        "postgres",
        "gateway",
        "mail",
        "redis clock",
        "agents",
        "kill switch",
    ):
        only(found, subject, "ok")
    assert "waggle-simulated" in only(found, "model", "ok")
    real = request.config.getoption("kafka") == "real"
    if real:
        assert "as declared in infra/topics.toml" in only(found, "topics", "ok")
    else:  # the embedded broker makes topics that are asked for with 4 partitions, whatever is wanted
        assert {name for name in found if name.startswith("topic")} == {f"topic {name}" for name in WIDE}
    if real:  # this swarm runs without a notifier
        assert "start the service notifier" in only(
            found, f"group {swarm._environment['WAGGLE_TOPIC_PREFIX']}notifier", "warn"
        )
    else:
        assert "does not report members" in only(found, "groups", "ok")
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    assert "ok   kafka: 1 broker at" in shown.stdout


def test_a_stopped_tenant_is_reported_as_the_gateway_sees_it(swarm, monkeypatch):
    for name, value in swarm.endpoints.items():
        monkeypatch.setenv(name, value)
    scope = f"{swarm.endpoints['WAGGLE_GATEWAY']}/v1/stops/tenant:quiet"
    httpx.put(scope, json={"by": "ops", "reason": "an incident"}).raise_for_status()
    try:
        until = time.monotonic() + 30
        while (found := examined()[0])["kill switch"][0]["level"] == "ok" and time.monotonic() < until:
            time.sleep(0.1)  # the gateway reads the stop from Kafka
        assert "stopped: tenant:quiet" in only(found, "kill switch", "warn")
    finally:
        httpx.delete(scope).raise_for_status()


def test_a_missing_topic_fails_with_the_command_that_makes_it(environment):
    make(environment, [each for each in declared_topics.declared() if each.name != "timers"])
    found, code = examined()
    assert code == 1
    told = only(found, "topic timers", "fail")
    assert "create it with 8 partitions" in told
    assert "cleanup.policy=compact" in told
    assert "topic tasks" not in found
    assert "nothing answers" in only(found, "gateway", "fail")


def test_too_few_partitions_are_warned_of(environment):
    make(environment, [replace(each, partitions=min(4, each.partitions)) for each in declared_topics.declared()])
    found, _ = examined()
    assert "it has 4 partitions, not 8" in only(found, "topic runs.log", "warn")


def test_topics_with_short_retention_and_groups_without_members_are_reported(environment, request):
    if request.config.getoption("kafka") != "real":
        pytest.skip("the embedded broker has neither topic settings nor descriptions of groups: --kafka real")
    changes = {
        "timers": {"cleanup": "delete"},
        "tasks": {"cleanup": "compact"},
        "journal": {"retention_hours": 1},
        "runs": {"max_message_bytes": 1000},
    }
    make(environment, [replace(each, **changes.get(each.name, {})) for each in declared_topics.declared()])
    found, code = examined()
    assert code == 1
    assert "set cleanup.policy=compact" in only(found, "topic timers", "fail")
    assert "set cleanup.policy=delete" in only(found, "topic tasks", "fail")
    assert "it keeps 1 h" in only(found, "topic journal", "warn")
    assert "set max.message.bytes=8388608" in only(found, "topic runs", "fail")
    group = f"group {environment['WAGGLE_TOPIC_PREFIX']}orchestrator"
    assert "start the service orchestrator" in only(found, group, "warn")


def test_a_record_from_the_future_shows_a_wrong_clock(environment):
    make(environment, declared_topics.declared())
    ahead = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp() * 1000)

    async def write():
        async with AIOKafkaProducer(bootstrap_servers=environment["WAGGLE_KAFKA"]) as producer:
            topic = environment["WAGGLE_TOPIC_PREFIX"] + "runs.log"
            await producer.send_and_wait(topic, b"x", timestamp_ms=ahead)

    asyncio.run(write())
    found, _ = examined()
    assert "s in the future" in only(found, "kafka clock", "warn")


@pytest.mark.parametrize(("ahead", "level"), [(0.3, "ok"), (-1.9, "ok"), (2.5, "warn"), (-60.0, "warn")])
def test_clocks_may_differ_by_two_seconds(ahead, level):
    assert clock("redis clock", ahead).level == level


def test_a_down_dependency_fails_without_its_password_and_the_rest_is_still_checked(environment, monkeypatch):
    nowhere = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("WAGGLE_REDIS", f"redis://bee:hunter2@{nowhere}/0")
    monkeypatch.setenv("WAGGLE_POSTGRES", f"postgresql://bee:hunter2@{nowhere}/hive")
    monkeypatch.setenv("WAGGLE_SMTP", f"smtp://bee:hunter2@{nowhere}")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{nowhere}/v1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{nowhere}")
    found, code = examined()
    assert code == 1
    for subject in ("redis", "postgres", "mail", "model"):
        only(found, subject, "fail")
    assert "only traces are lost" in only(found, "traces", "warn")
    only(found, "kafka", "ok")
    assert "bee:***@" in only(found, "redis", "fail")
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize("address", ["http://u:geheim@127.0.0.1:9", "http://u:geheim@[bad", "http://u:geheim@h:port"])
def test_an_address_that_does_not_answer_or_is_none_fails_without_its_password(environment, monkeypatch, address):
    for name in ("OPENAI_BASE_URL", "WAGGLE_GATEWAY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.setenv(name, address)
    found, code = examined()
    assert code != 0
    for subject, level in (("model", "fail"), ("gateway", "fail"), ("traces", "warn")):
        assert "geheim" not in only(found, subject, level)


def test_a_kafka_of_which_some_servers_are_down_is_examined_all_the_same(environment, monkeypatch):
    down = [f"127.0.0.1:{free_port()}" for _ in range(9)]
    monkeypatch.setenv("WAGGLE_KAFKA", ",".join([*down, environment["WAGGLE_KAFKA"]]))
    found, _ = examined()
    only(found, "kafka", "ok")


def test_a_kafka_that_is_down_fails_within_seconds(environment, monkeypatch):
    monkeypatch.setenv("WAGGLE_KAFKA", f"127.0.0.1:{free_port()}")
    found, code = examined()
    assert code == 1
    assert "start it, or correct WAGGLE_KAFKA" in only(found, "kafka", "fail")
    only(found, "redis", "ok")


def test_a_kafka_that_says_nothing_is_given_up(environment, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WAGGLE_KAFKA", f"127.0.0.1:{silent.getsockname()[1]}")
        found, code = examined()
    assert code == 1
    only(found, "kafka", "fail")


def test_an_unknown_variable_is_reported_with_the_nearest_known_one(environment, monkeypatch):
    monkeypatch.setenv("WAGGLE_POSTGRESS", "x")
    monkeypatch.setenv("WAGGLE_QQQQ", "x")
    found, _ = examined()
    told = " ".join(each["found"] + " " + each["do"] for each in found["settings"])
    assert "WAGGLE_POSTGRESS is not a variable of Waggle and is ignored did you mean WAGGLE_POSTGRES?" in told
    assert "WAGGLE_QQQQ is not a variable of Waggle and is ignored docs/configuration.md" in told


def test_settings_that_do_not_fit_fail_each_by_its_variable(environment, monkeypatch):
    monkeypatch.setenv("WAGGLE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("WAGGLE_KAFKA_USERNAME", "bee")
    found, code = examined()
    assert code == 1
    told = [each["found"] for each in found["settings"]]
    assert [each.partition(" ")[0] for each in told] == ["WAGGLE_KAFKA_SASL_MECHANISM", "WAGGLE_KAFKA_PASSWORD"]
    assert {each["level"] for each in found["settings"]} == {"fail"}


@pytest.fixture
def endpoint():
    """An endpoint that answers everything with one status."""

    class Answer(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            self.send_response(Answer.status)
            self.end_headers()

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Answer
        server.shutdown()


def test_every_endpoint_of_a_chain_is_checked_and_a_missing_price_is_reported(
    environment, monkeypatch, model, tmp_path
):
    file, nowhere = tmp_path / "models.toml", f"http://127.0.0.1:{free_port()}/v1"
    file.write_text(
        f'[roles]\nstrong = ["main", "spare"]\n[endpoints.main]\nmodel = "waggle-simulated"\nbase_url = "{model}/v1"\n'
        f'[endpoints.spare]\nmodel = "other"\nbase_url = "{nowhere}"\n'
    )
    monkeypatch.setenv("WAGGLE_MODELS", str(file))
    found, code = examined()
    assert code == 1
    there, gone = found["model"]
    assert (there["level"], gone["level"]) == ("ok", "fail")
    assert "correct WAGGLE_MODELS" in gone["do"]
    assert "other" in only(found, "prices", "warn")
    file.write_text("[roles]")
    assert "models.toml" in only(examined()[0], "model", "fail")


@pytest.mark.parametrize(
    ("status", "level", "traces"), [(401, "fail", "warn"), (404, "warn", "warn"), (200, "warn", "ok")]
)
def test_a_model_endpoint_that_refuses_the_key_fails_and_a_collector_is_tried(
    environment, monkeypatch, endpoint, status, level, traces
):
    url, answer = endpoint
    answer.status = status
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    found, _ = examined()
    only(found, "model", level)
    only(found, "traces", traces)


def test_a_call_checks_the_models_when_it_is_asked_for(environment):
    ended = CliRunner().invoke(app, ["doctor", "--call", "--json"])
    found = {each["subject"]: each for each in json.loads(ended.stdout)["findings"]}
    assert found["model"]["level"] == "ok"
    assert "waggle-simulated answered a call of 1 token" in found["model"]["found"]


async def introduced(environment):
    """Let one agent with one tool be known."""
    sentinel = Sentinel(environment["WAGGLE_REDIS"])
    tools = [ToolCard(name="add", description="d", risk=Risk.LOW)]
    await announce(sentinel.own, AgentCard(name="calc", description="d", tools=tools))
    await sentinel.close()


def test_limits_of_unknown_tools_are_named_and_an_unusable_file_fails(environment, tmp_path, monkeypatch):
    asyncio.run(introduced(environment))
    file = tmp_path / "tools.toml"
    monkeypatch.setenv("WAGGLE_TOOLS", str(file))
    file.write_text("[tools.add]\nper_minute = 5\n[tools.ad]\nper_minute = 5\n")
    named, known = examined()[0]["tools"]
    assert (named["level"], named["do"], known["level"]) == ("warn", "did you mean add?", "ok")
    limits_in.cache_clear()
    file.write_text("[tools.add]\nper_minute = -5\n")
    assert "tools.add.per_minute" in only(examined()[0], "tools", "fail")


def test_unknown_tools_and_agents_in_files_are_reported(environment, tmp_path, monkeypatch):
    asyncio.run(introduced(environment))
    gate, tenants, servers = (tmp_path / f"{name}.toml" for name in ("gate", "tenants", "servers"))
    gate.write_text('[tools.sub]\nrisk = "low"\n')
    tenants.write_text('unknown = "all"\n[tiers.all]\ntools = ["add"]\nagents = ["cal"]\n')
    servers.write_text('[servers.time]\ncommand = "x"\nagents = ["nobody"]\n')
    for variable, path in (("GATE", gate), ("TENANTS", tenants), ("MCP", servers)):
        monkeypatch.setenv(f"WAGGLE_{variable}", str(path))
    said = {(each["level"], each["found"].split(",")[0]) for each in examined()[0]["tools"]}
    unknown = ("GATE names the tool sub", "TENANTS names the agent cal", "MCP names the agent nobody")
    assert said == {("ok", "WAGGLE_TENANTS names the tool add"), *(("warn", f"WAGGLE_{each}") for each in unknown)}


def test_the_way_in_which_memories_are_found_is_named(environment, monkeypatch, tmp_path):
    alone = only(examined()[0], "memory", "ok")
    assert "full text alone" in alone
    assert "set WAGGLE_MEMORY_MODEL or WAGGLE_MODEL_EMBED" in alone
    monkeypatch.setenv("WAGGLE_MODEL_EMBED", "waggle-simulated")
    assert "full text and vectors of the endpoint's model waggle-simulated" in only(examined()[0], "memory", "ok")
    monkeypatch.setenv("WAGGLE_MEMORY_MODEL", str(tmp_path))
    found, code = examined()
    assert code == 1
    assert "has no model.onnx and no tokenizer.json correct the folder" in only(found, "memory", "fail")


def test_doctor_says_by_which_model_facts_are_extracted_or_why_none_are(environment, monkeypatch):
    assert "extracted by waggle-simulated, with 200,000 tokens a day" in only(examined()[0], "facts", "ok")
    monkeypatch.setenv("WAGGLE_MEMORY_FACTS", "off")
    assert "no facts are extracted: WAGGLE_MEMORY_FACTS is off" in only(examined()[0], "facts", "ok")
