"""Starting is quick: what a fresh interpreter may import before it does anything."""

import json
import subprocess
import sys

import pytest

NEVER_BY_THE_COMMAND_LINE = {
    "aiokafka",
    "asyncpg",
    "cryptography",
    "fastapi",
    "faststream",
    "markdown_it",
    "mcp",
    "openai",
    "opentelemetry",
    "phonenumbers",
    "pydantic_settings",
    "redis",
    "shared.guardrails",
    "shared.config",
    "uvicorn",
}


def loaded(program: str) -> set[str]:
    """Run a program in a fresh interpreter and return the modules it has imported."""
    report = f"{program}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout.splitlines()[-1]))


def printed(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def called(*arguments: str) -> str:
    """A program that calls the command line."""
    return f"from services.cli.app import app\ntry:\n    app({list(arguments)!r})\nexcept SystemExit:\n    pass"


def test_the_help_loads_no_command_no_model_and_no_client():
    modules = loaded(called("--help"))
    assert not modules & {"pydantic", "httpx", "schemas.message", "services.cli.commands.runs"}
    assert len(modules) < 350


@pytest.mark.parametrize(
    "module",
    ["runs", "control", "kill_switch", "approvals", "apply", "dlq", "topics", "skip", "trace", "prompt", "submit"],
)
def test_a_command_of_the_gateway_loads_nothing_of_a_service(module):
    modules = loaded(f"import services.cli.commands.{module}")
    assert not modules & NEVER_BY_THE_COMMAND_LINE
    assert len(modules) < 480


def test_the_help_of_every_command_loads_no_client_of_a_server():
    modules = loaded("from services.cli.app import COMMANDS, load\nfor name in COMMANDS: load(name)")
    assert not modules & {"aiokafka", "asyncpg", "fastapi", "faststream", "mcp", "openai", "redis", "uvicorn"}


def test_stopping_a_stack_loads_no_client_of_a_server():
    assert not loaded("import services.cli.commands.stack, infra.embedded.down") & NEVER_BY_THE_COMMAND_LINE


LATER = {"openai", "mcp", "mcp_types", "markdown_it", "phonenumbers", "duckdb", "matplotlib", "shared.llm.request"}
"""Loaded by a service after it is ready, in a thread, or when it is first used."""

ONLY_WHERE_USED = {"google.protobuf", "opentelemetry.exporter", "requests"}
"""Export of traces, which most processes of a test or a laptop do not do."""


@pytest.mark.parametrize(
    ("program", "most", "also"),
    [
        ("import services.research.__main__, shared.agent.serve", 1_430, {"fastapi"}),
        ("import services.gateway.__main__", 1_470, set()),
        ("import services.orchestrator.__main__", 1_250, {"fastapi"}),
        ("import services.timekeeper.__main__", 1_220, {"fastapi"}),
    ],
)
def test_a_service_loads_few_modules_before_it_serves(program, most, also):
    modules = loaded(program)
    assert not modules & (LATER | ONLY_WHERE_USED | also)
    assert len(modules) <= most
