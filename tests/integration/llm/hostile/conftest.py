"""An agent and a worker for tests that bring their own model server."""

from pathlib import Path

import pytest

from shared.agent import Agent
from shared.resilience import breaker as rules
from tests.support.enduring import look, looked
from tests.support.workers import thinking_agent, worker_of


@pytest.fixture
def agent(tmp_path: Path, monkeypatch) -> Agent:
    looked.clear()
    monkeypatch.setattr(rules, "REST", 0.1)
    prompt = "Look at what you are asked to look at, and report what you have seen."
    return thinking_agent("look", tmp_path, [look], prompt)


@pytest.fixture
async def worker(agent, settings, topics, sentinel):
    """A worker without a model server: a test starts one."""
    settings = settings.model_copy(update={"model_timeout": 0.8, "step_timeout": 10.0})
    async with worker_of(agent, settings, sentinel) as worker:
        yield worker
