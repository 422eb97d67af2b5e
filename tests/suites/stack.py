"""A stack of its own for suites, in which a sentence can be planted into the planner's instructions."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from infra.embedded.stack import Stack
from infra.probe import answers, free_port
from tests.suites.entry import SENTENCE

SERVICES = [
    "gateway",
    "orchestrator",
    "planner",
    "data",
    "research",
    "communication",
    "reviewer",
    "writer",
    "timekeeper",
]


SHORTER = "Keep plans short: leave out the last step."
"""The planted sentence."""

OBEYED = {"name": "a short plan", "when": {"agent": "planner", "text": SHORTER}, "fault": {"drop_step": True}}
"""Scenario: the simulated model does what the sentence says."""


class SuiteStack(Stack):
    """The services that the bundled suites need, with a simulated model that plays scenarios."""

    def __init__(self, folder: Path, *scenarios: dict[str, Any], **environment: str) -> None:
        self._sentence = folder / "sentence.txt"
        self._scenarios = folder / "scenarios"
        self._scenarios.mkdir()
        (self._scenarios / "suites.json").write_text(json.dumps({"scenario": scenarios}))
        known = {"WAGGLE_TOPIC_PREFIX": f"s{uuid4().hex[:8]}.", SENTENCE: str(self._sentence)}
        super().__init__(folder, environment={**os.environ, **known, **environment}, services=SERVICES)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self.state.postgres.parent, ignore_errors=True)

    async def plant(self, sentence: str) -> None:
        """Add a sentence to the planner's instructions, and restart it."""
        self._sentence.write_text(sentence)
        [planner] = [child for child in self._children if child.name == "planner"]
        os.kill(planner.pid, signal.SIGKILL)
        async with asyncio.timeout(300):
            await planner.await_ready()

    async def _model(self) -> None:
        if self._given("OPENAI_BASE_URL"):
            await super()._model()
            return
        url = f"http://127.0.0.1:{free_port()}"
        command = ["-m", "infra.simulated_model", "--port", url.rpartition(":")[2], "--scenarios", str(self._scenarios)]
        await self._run("model", command, lambda: answers(f"{url}/health"))
        self.endpoints |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "simulated"}

    async def _run(self, name: str, command: Sequence[str], ready: Any, **more: Any) -> None:
        if name == "planner":
            command = ["-m", "tests.suites.entry", command[1]]
        await super()._run(name, command, ready, **more)
