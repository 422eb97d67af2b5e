"""Toolboxes of several replicas over one Redis, and a web server that fails on demand."""

import json
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry

from schemas.plan import Effect
from shared.agent.tools.toolbox import Toolbox
from shared.authorization import parse_gate
from shared.blackboard import Sentinel
from shared.config import ServiceSettings
from shared.llm import ToolRequest
from shared.telemetry.metrics import Metrics
from shared.tools import ToolContext
from shared.tools.runtime import ToolExecutor
from tests.support.workspaces import call_in


async def unchecked(effect: Effect) -> None:
    """Let every try be made."""


class Replica:
    """A process's tools, with a connection and metrics of its own."""

    def __init__(self, sentinel: Sentinel, call: ToolContext, tools: list, file: Path | None, seconds: float) -> None:
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.scripts, self.call, self.made = sentinel.scripts, call, 0
        ends = time.monotonic() + seconds
        self.executor = ToolExecutor.with_limits(sentinel.scripts, file, metrics, ends=ends, check=unchecked)
        self.toolbox = Toolbox(
            tools,
            [],
            dry_run=False,
            policy=parse_gate().of("default"),
            metrics=metrics,
            executor=self.executor,
            made=lambda name: self.made,
        )

    async def ask(self, name: str, tenant: str = "default", **arguments) -> dict:
        """The answer as shown to a model."""
        request = ToolRequest(id="1", name=name, arguments=json.dumps(arguments))
        return json.loads(await self.toolbox.answer(request, replace(self.call, tenant=tenant)))

    async def code(self, name: str, tenant: str = "default", **arguments) -> str:
        """The code of the error, `ok` if there is none."""
        return (await self.ask(name, tenant, **arguments)).get("error", {"code": "ok"})["code"]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def round_trips(self, monkeypatch) -> list[int]:
        """Number of commands in each following round trip to Redis."""
        seen: list[int] = []
        execute = self.scripts._execute

        async def counted(calls) -> None:
            seen.append(len(calls))
            await execute(calls)

        monkeypatch.setattr(self.scripts, "_execute", counted)
        return seen


@asynccontextmanager
async def replica(
    url: str,
    folder: Path,
    tools: list,
    *,
    file: Path | None = None,
    seconds: float = 60,
    settings: ServiceSettings | None = None,
):
    """A replica for as long as a block."""
    sentinel = Sentinel(url)
    await sentinel.refresh()
    try:
        yield Replica(sentinel, call_in(folder, settings), tools, file, seconds)
    finally:
        await sentinel.close()


class Web:
    """A loopback server: `plan` says what each path answers, one status after the other, and then the last for ever."""

    def __init__(self) -> None:
        self.plan: dict[str, list[int]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.answer(self)

            def do_POST(self) -> None:
                web.answer(self)

            def log_message(self, *arguments) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        statuses = self.plan.setdefault(handler.path, [200])
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status == 0:
            handler.connection.close()
            return
        body = f"{handler.path} number {len(self.asked)}".encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def url(self, path: str = "/") -> str:
        return f"http://{self.host}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
