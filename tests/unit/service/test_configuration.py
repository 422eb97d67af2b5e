"""A process reports every problem of its configuration in one start."""

import os
import subprocess
import sys

import pytest

from shared.config import ServiceSettings, usable_settings
from shared.config.settings import Settings
from shared.errors import Misconfigured
from shared.service.policies import read_configuration

WRONG = {
    "WAGGLE_HTTP_PORT": "eighty",
    "WAGGLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "WAGGLE_WEBHOOK_ALLOW": "a\nb",
    "WAGGLE_GATE": "missing.toml",
    "WAGGLE_TOOLS": "missing.toml",
    "WAGGLE_MCP": "missing.toml",
    "OPENAI_BASE_URL": "http://models.example:port/v1",
    "SSL_CERT_FILE": "missing.pem",
}


def refused(service: str, **environment: str) -> list[str]:
    command = [sys.executable, "-m", f"services.{service}"]
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    return ran.stderr.splitlines()


def test_an_agent_names_all_that_is_wrong_with_settings_policies_tools_servers_and_models_at_once():
    lines = refused("communication", **WRONG)
    named = {line.removeprefix("waggle cannot start: ").partition(" ")[0].rstrip(":") for line in lines}
    assert named == {*WRONG, "WAGGLE_KAFKA_SASL_MECHANISM"} - {"WAGGLE_KAFKA_SECURITY_PROTOCOL"}
    assert all(line.startswith("waggle cannot start: ") for line in lines)


@pytest.mark.parametrize("service", ["gateway", "orchestrator"])
def test_a_service_names_its_wrong_variables_with_its_wrong_files(service):
    lines = refused(service, WAGGLE_HTTP_PORT="eighty", WAGGLE_KEYS="missing.toml", WAGGLE_TENANTS="missing.toml")
    assert [line.split()[3].rstrip(":") for line in lines] == ["WAGGLE_HTTP_PORT", "WAGGLE_TENANTS", "WAGGLE_KEYS"]


@pytest.mark.parametrize("url", ["http://[::1", "http://h:port/v1", "models.example/v1", "ftp://h/v1", "http://"])
def test_an_agent_does_not_start_with_an_address_that_no_model_can_have(url):
    [line] = refused("planner", OPENAI_BASE_URL=url)
    assert line.startswith("waggle cannot start: OPENAI_BASE_URL is no address of a model")


def test_wrong_variables_are_left_out_of_the_settings_that_further_checks_use(monkeypatch):
    monkeypatch.setenv("WAGGLE_HTTP_PORT", "eighty")
    monkeypatch.setenv("WAGGLE_TOPIC_PREFIX", "mine.")
    settings, problems = usable_settings(Settings)
    assert (settings.http_port, settings.topic_prefix) == (8080, "mine.")
    assert [problem.partition(":")[0] for problem in problems] == ["WAGGLE_HTTP_PORT"]


def test_a_failed_check_stops_the_start():
    def check(settings: Settings, own: ServiceSettings) -> None:
        raise Misconfigured("WAGGLE_TOOLS: wrong")

    with pytest.raises(SystemExit, match=r"^waggle cannot start: WAGGLE_TOOLS: wrong$"):
        read_configuration(ServiceSettings, check)
