"""The compose file holds, and every way it was broken here is noticed."""

import os
import re
import shutil
from pathlib import Path
from unittest import mock

import pytest

from infra.compose import collector, image, rules, stanza
from infra.compose.reading import example, read
from infra.entrusted import entrusted
from infra.new_agent.__main__ import make
from infra.ready import failing
from shared.config import Settings

ROOT = Path(__file__).parents[3]
COPIED = [
    "docker-compose.yml",
    ".env.example",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "requirements.lock",
    "requirements.build.lock",
    "requirements.runtime.lock",
    "access",
    "documents",
    "notify",
    "infra",
    "schemas",
    "services",
    "shared",
    "waggle",
]


@pytest.fixture
def clone(tmp_path):
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(clone, name, old, new):
    path = clone / name
    text = path.read_text()
    changed = re.sub(old, new, text, count=1)
    assert changed != text, f"{name} has no {old}"
    path.write_text(changed)


def found(clone):
    return [*rules.problems(read(clone)), *image.problems(clone)]


def test_the_compose_file_of_this_clone_holds_with_and_without_the_example():
    assert found(ROOT) == []
    assert rules.problems(read(ROOT, example(ROOT))) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("docker-compose.yml", "WAGGLE_KAFKA:", "WAGGLE_KAFKAS:", "neither a setting"),
        ("docker-compose.yml", "kafka:9092\n", "kafka:9999\n", "nothing listens at kafka:9999"),
        ("docker-compose.yml", "redis://redis:6379", "redis://cache:6379", "nothing listens at cache:6379"),
        (
            "docker-compose.yml",
            r"\*archive, \*decisions\]\n    volumes:\n      - \*access",
            "*archive, *decisions, *model]\n    volumes:\n      - *access",
            "orchestrator: it gets OPENAI_API_KEY, which it does not use",
        ),
        (
            "docker-compose.yml",
            "(WAGGLE_KAFKA: kafka:9092\n)",
            r"\1  WAGGLE_SMTP: smtp://mail:1025\n",
            "code: it gets WAGGLE_SMTP, which it does not use",
        ),
        (
            "docker-compose.yml",
            "(WAGGLE_KAFKA: kafka:9092\n)",
            r"\1  WAGGLE_SIGNING_KEY: x\n",
            "topics: it gets WAGGLE_SIGNING_KEY, which it does not use",
        ),
        ("docker-compose.yml", r"\*environment, \*state, \*archive, \*model", "*environment", "data: it does not get"),
        ("docker-compose.yml", r"\./infra/otel/collector.yaml:", "./infra/otel/gone.yaml:", "there is no ./infra/otel"),
        ("docker-compose.yml", "config.file=/etc/prometheus/p", "config.file=/etc/prometheus/q", "does not exist"),
        ("docker-compose.yml", "infra.topics\\]", "infra.topic]", "no module infra.topic"),
        ("docker-compose.yml", "python, -m, infra.ready]", "python, -m, infra.probe]", "no module infra.probe"),
        ("docker-compose.yml", "(GATEWAY_PORT:-8080}:)8080", r"\g<1>8081", "does not listen"),
        ("docker-compose.yml", "-127.0.0.1(}:..GATEWAY)", r"-0.0.0.0\1", "beyond loopback"),
        ("docker-compose.yml", "redis:8.2.1-alpine", "redis:latest", "not pinned"),
        ("docker-compose.yml", "cap_drop: .ALL.", "cap_drop: []", "may do more"),
        (
            "docker-compose.yml",
            "topics: {condition: service_completed",
            "mail: {condition: service_",
            "wait for the topics",
        ),
        ("docker-compose.yml", "    healthcheck: &often\n      test: .*\n", "    x-off: &often\n", "redis"),
        (
            "docker-compose.yml",
            'AUTO_CREATE_TOPICS_ENABLE: "false"',
            'AUTO_CREATE_TOPICS_ENABLE: "true"',
            "AUTO_CREATE",
        ),
        ("docker-compose.yml", ".*GROUP_MIN_SESSION_TIMEOUT.*\n", "", "GROUP_MIN_SESSION_TIMEOUT_MS is missing"),
        ("docker-compose.yml", "  grafana:\n  demo:", "  grafana:\n  more:\n  demo:", "volume more"),
        ("docker-compose.yml", "(?s)  reviewer:\n.*?\n\n", "", "services/reviewer has no stanza"),
        (
            "docker-compose.yml",
            "profiles: .core.\n    image: apache",
            "profiles: [extra]\n    image: apache",
            "no known profile",
        ),
        (
            "docker-compose.yml",
            "WAGGLE_DOCUMENTS: /documents",
            "WAGGLE_MAIL_FROM: a@b\n      WAGGLE_DOCUMENTS: /documents",
            "research: WAGGLE_MAIL_FROM is neither a setting of this service",
        ),
        (
            "docker-compose.yml",
            "command: .python, -m, infra.topics.\n",
            "command: [python, -m, infra.topics]\n    environment: {WAGGLE_METRICS_PORT: '1'}\n",
            "topics: WAGGLE_METRICS_PORT is neither",
        ),
        (".env.example", "KAFKA_PORT=9094\n", "", "KAFKA_PORT is in only one of"),
        (".env.example", "POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=hunter2", "leave it empty"),
        (".env.example", r"\Z", "UNUSED=1\n", "UNUSED is in only one of"),
        ("infra/prometheus/prometheus.yml", "          - planner\n", "", "differ in `planner`"),
        (".dockerignore", "!shared", "!shares", "which .dockerignore keeps out"),
        ("infra/Dockerfile", "USER 10001:10001", "USER root", "10001"),
        ("requirements.runtime.lock", "pydantic==[0-9.]+", "pydantic==2.0.0", "gets pydantic 2.0.0"),
        ("requirements.runtime.lock", r"\Z", "psutil==7.2.2\n", "only the extra `embedded`"),
    ],
)
def test_a_broken_file_is_noticed(clone, name, old, new, said):
    change(clone, name, old, new)
    assert any(said in problem for problem in found(clone)), found(clone)


def test_a_dashboard_that_asks_a_source_there_is_not_is_noticed(clone):
    board = clone / "infra" / "grafana" / "dashboards" / "one.json"
    board.write_text('{"panels": [{"datasource": {"type": "prometheus", "uid": "prometheus"}}]}')
    assert found(clone) == []
    change(clone, "infra/grafana/dashboards/one.json", '"uid": "prometheus"', '"uid": "loki"')
    assert found(clone) == ["infra/grafana/dashboards/one.json: no data source has the uid `loki`"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("endpoint: jaeger:4317", "endpoint: jaeger"),
        ("check_interval", "check_intervall"),
        ("exporters: .otlp/jaeger.", "exporters: [otlp/zipkin]"),
        (r"\[memory_limiter, batch\]", "[batch, memory_limiter]"),
        ("limit_percentage: 80", "limit_percentage: 800"),
    ],
)
def test_a_broken_collector_configuration_is_noticed(clone, old, new):
    path = clone / "infra" / "otel" / "collector.yaml"
    assert collector.problems(path) == []
    change(clone, "infra/otel/collector.yaml", old, new)
    assert collector.problems(path)


def test_a_new_agent_without_its_stanza_is_noticed_and_with_it_nothing_is_missing(clone):
    make("newcomer", clone)
    assert any("services/newcomer has no stanza" in problem for problem in found(clone))
    assert [path.name for path in stanza.add("newcomer", clone)] == ["docker-compose.yml", "prometheus.yml"]
    assert found(clone) == []
    assert read(clone).swarm()["newcomer"]["build"]["args"] == {"SERVICE": "newcomer"}
    assert stanza.add("newcomer", clone) == []


@pytest.mark.parametrize("name", sorted(read(ROOT).swarm()))
def test_the_settings_take_what_a_service_is_given(name):
    given = {variable: str(value) for variable, value in read(ROOT).services[name]["environment"].items()}
    with mock.patch.dict(os.environ, given, clear=True):
        settings = Settings()
    assert settings.kafka == "kafka:9092"
    assert settings.openai_base_url == ("http://model:8080/v1" if "OPENAI_API_KEY" in entrusted(name) else None)


def test_a_set_variable_overrides_its_default_and_an_empty_one_only_if_allowed():
    model = read(ROOT, {"OPENAI_BASE_URL": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "", "KAFKA_PORT": "19094"}).services
    assert model["data"]["environment"]["OPENAI_BASE_URL"] == "http://model:8080/v1"
    assert model["data"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == ""
    assert model["kafka"]["ports"] == ["127.0.0.1:19094:9094"]


def test_the_images_command_runs_the_service_that_is_named():
    assert image.command(ROOT) == ["sh", "-c", "exec python -m services.${SERVICE}"]


async def test_the_health_command_says_what_does_not_answer(model):
    assert failing([f"{model}/health"]) == []
    (nothing,) = failing(["http://127.0.0.1:9/ready"])
    (missing,) = failing([f"{model}/nothing"])
    assert "refused" in nothing
    assert "404" in missing
