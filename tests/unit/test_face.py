"""The public face: what an agent author may import, and what importing it costs."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import waggle

ROOT = Path(__file__).parents[2]
AGENTS = sorted(p.parent.name for p in (ROOT / "services").glob("*/agent.py"))
SLOW_TO_LOAD = {"aiokafka", "asyncpg", "fastapi", "faststream", "httpx", "openai", "opentelemetry", "redis", "uvicorn"}


def test_the_face_is_these_names():
    assert waggle.__all__ == [
        *["POST", "SEND", "Agent", "Artefact", "AskHuman", "BoardConflict", "BoardEntry", "Brief", "Budget", "Claim"],
        *["ClaimRefused", "Context", "Effect", "Fact", "Findings", "HandOff", "Limits", "MakePlan", "MemoryKind"],
        *["ModelRole", "NeedsHuman", "Plan", "Remembered", "RetryableError", "ReviewResult", "Risk"],
        *["ServiceSettings", "Source", "Step", "Synthesis", "TerminalError", "ToolContext", "ToolError", "Verdict"],
        *["WriteAnswer", "serve", "tool"],
    ]
    assert all(getattr(waggle, name).__doc__ for name in waggle.__all__)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("testing", "AgentHarness HttpRequest HttpStub Output ScriptError Scripted StepOutput ToolCalls calls memory"),
        ("web", "Fetched GuardedClient host_of"),
    ],
)
def test_the_face_for_tests_and_for_http_is_these_names(module, names):
    found = import_module(f"waggle.{module}")
    assert found.__all__ == names.split()
    assert all(getattr(found, name).__doc__ for name in found.__all__)


def test_importing_the_face_loads_no_client_of_kafka_redis_or_a_model():
    probe = "import sys, waggle; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not SLOW_TO_LOAD & set(loaded.stdout.split())


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_is_declared_with_the_face_and_run_in_four_lines(name):
    main = (ROOT / "services" / name / "__main__.py").read_text()
    code = [line for line in main.splitlines()[1:] if line]
    assert code == [
        f"from services.{name}.agent import agent",
        "from waggle import serve",
        'if __name__ == "__main__":',
        "    serve(agent)",
    ]
    declared = (ROOT / "services" / name / "agent.py").read_text()
    assert "from waggle import" in declared
    assert "shared.agent" not in declared
