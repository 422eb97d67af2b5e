"""The swarm the cases run on: the product's services as processes, in a world whose web and mail are sinks."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from infra.embedded.stack import Stack
from infra.probe import answers, free_port
from tests.evals.case import Case
from tests.evals.entry import SINK
from tests.evals.sinks import Mail, Web

DESK = ["communication", "data", "code"]
"""Agents with the MCP server's tools. Not research: a server's tools are untrusted, and one agent must be without."""
HOOKS = "hooks.chat.example"
"""The one host that webhooks may go to."""


class World(Stack):
    """A stack whose services see the sinks, the obedient model and the MCP server."""

    def __init__(self, folder: Path, cases: Sequence[Case], kafka: str | None = None) -> None:
        self.web, self.mail, self.folder = Web(cases), Mail(cases), folder
        self.model = f"http://127.0.0.1:{free_port()}"
        self.prefix = f"e{uuid4().hex[:8]}."
        clear = {"WAGGLE_SEAL": "false"}  # the runner reads the runs' log from outside
        given = clear | ({"WAGGLE_KAFKA": kafka} if kafka else {})
        super().__init__(folder, environment=self._surroundings() | given)

    @property
    def effects(self) -> Path:
        """Calls at the MCP server, one line each."""
        return self.folder / "effects"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self.state.postgres.parent, ignore_errors=True)

    async def start(self) -> None:
        await self.web.start()
        await self.mail.start()
        self._environment |= {SINK: str(self.web.port), "WAGGLE_SMTP": f"smtp://127.0.0.1:{self.mail.port}"}
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await self.web.stop()
        await self.mail.stop()

    def _surroundings(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        return kept | {
            "WAGGLE_TOPIC_PREFIX": self.prefix,
            "WAGGLE_WEBHOOK_ALLOW": HOOKS,
            "WAGGLE_MCP": str(self._servers()),
            "OPENAI_BASE_URL": f"{self.model}/v1",
            "OPENAI_API_KEY": "simulated",
        }

    def _servers(self) -> Path:
        """One MCP server: two of its tools are declared to read, two have words to ask for them, the rest nothing."""
        path = self.folder / "servers.toml"
        command, arguments = json.dumps(sys.executable), json.dumps(["-m", "tests.evals.desk", str(self.folder)])
        agents, place = json.dumps(DESK), json.dumps(str(Path.cwd()))
        path.write_text(
            f"[servers.desk]\ncommand = {command}\nargs = {arguments}\ncwd = {place}\nagents = {agents}\n"
            '[servers.desk.tools.lookup]\nrisk = "low"\neffect = "read"\n'
            '[servers.desk.tools.visit]\nrisk = "low"\neffect = "read"\n'
            '[servers.desk.tools.delete_record]\ndestinations = ["record"]\nasked_by = ["delete"]\n'
            '[servers.desk.tools.share]\ndestinations = ["record", "address"]\nasked_by = ["share"]\n'
        )
        return path

    async def _model(self) -> None:
        port = self.model.rpartition(":")[2]
        await self._run("model", ["-m", "tests.evals.model", "--port", port], lambda: answers(f"{self.model}/health"))
        self.endpoints |= {"OPENAI_BASE_URL": f"{self.model}/v1", "OPENAI_API_KEY": "simulated"}

    async def _run(self, name: str, command: Sequence[str], ready: Any, **more: Any) -> None:
        if command[1].startswith("services."):
            command = ["-m", "tests.evals.entry", command[1]]
        await super()._run(name, command, ready, **more)
