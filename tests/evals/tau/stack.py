"""The swarm that does the cases: one agent with the tools of a domain, and a model that makes the gold calls."""

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from infra.embedded.stack import Stack
from infra.probe import answers, free_port

SERVICES = ["gateway", "orchestrator", "communication", "reviewer", "timekeeper"]
CLERK = "communication"
"""The agent with the tools."""


class TauStack(Stack):
    """A stack for one domain; `world` is the Python that has the wheel of the benchmark."""

    def __init__(self, folder: Path, domain: str, gold: dict[str, Any], world: str, seed: int) -> None:
        self.log, self._cases, servers = folder / "calls.sqlite", folder / "cases.json", folder / "servers.toml"
        self._cases.write_text(json.dumps(gold))
        command = ["-W", "ignore", "-m", "tests.evals.tau.server", domain, str(self.log), str(seed)]
        servers.write_text(_servers(world, command, gold["tools"]))
        known = {
            "WAGGLE_TOPIC_PREFIX": f"t{uuid4().hex[:8]}.",
            "WAGGLE_MCP": str(servers),
            "WAGGLE_MAX_TURNS": "60",
        }
        super().__init__(folder, environment={**os.environ, **known}, services=SERVICES)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self.state.postgres.parent, ignore_errors=True)

    @property
    def clerk(self) -> int | None:
        """Process id of the agent, while it runs."""
        return next(child.pid for child in self._children if child.name == CLERK)

    def calls(self) -> int:
        """Return the number of calls in the server's log."""
        if not self.log.exists():
            return 0
        with closing(sqlite3.connect(self.log, timeout=10)) as log:
            known = log.execute("select count(*) from sqlite_master where name = 'calls'").fetchone()[0]
            return int(log.execute("select count(*) from calls").fetchone()[0]) if known else 0

    async def _model(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        command = ["-m", "tests.evals.tau.model", "--port", url.rpartition(":")[2], "--cases", str(self._cases)]
        await self._run("model", command, lambda: answers(f"{url}/health"))
        self.endpoints |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "simulated"}

    async def _run(self, name: str, command: Sequence[str], ready: Any, **more: Any) -> None:
        if name == CLERK:
            command = ["-m", "tests.evals.tau.entry"]
        await super()._run(name, command, ready, **more)


def _servers(world: str, command: Sequence[str], tools: dict[str, bool]) -> str:
    """Return the declaration of the server, as an operator would write it: what reads, and what acts under a key."""
    place = json.dumps(str(Path.cwd()))
    head = (
        f"[servers.tau]\ncommand = {json.dumps(world)}\nargs = {json.dumps(command)}\ncwd = {place}\n"
        f'agents = ["{CLERK}"]\nconnect_timeout = 120\ntimeout = 120\n'
    )
    rules = {True: 'risk = "low"\neffect = "read"', False: 'risk = "medium"\neffect = "idempotent"'}
    return head + "".join(f"[servers.tau.tools.{name}]\n{rules[reads]}\n" for name, reads in sorted(tools.items()))
