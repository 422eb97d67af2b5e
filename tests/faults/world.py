"""The swarm under test, with everything around it: its processes, what they depend on, the ledger and the caller."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from infra import topics
from infra.embedded import child as supervision
from infra.embedded import redis as embedded_redis
from infra.embedded.child import Child
from infra.embedded.stack import Stack
from infra.probe import answers, free_port, redis_answers
from tests.faults import points
from tests.faults.agents import SPECIALISTS
from tests.faults.broker import ROOT, Broker
from tests.faults.caller import Caller
from tests.faults.proxy import Proxy

AGENTS = ("planner", "writer", "reviewer", *SPECIALISTS)
CORE = tuple(name for name in ("orchestrator", "timekeeper") if (ROOT / "services" / name / "__main__.py").exists())
"""Services of the product that a run needs, except its agents."""

SESSION = {"embedded": "3", "real": "6"}
"""Seconds Kafka waits for a member of a group that says nothing: the shortest that a real one allows."""


supervision.LONGEST_PAUSE = supervision.SHORTEST_PAUSE
"""Short, since a row kills the same process again soon."""


class World:
    """One swarm. What a row broke for good is thrown away with it; Kafka and the ledger's process are cheap."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.prefix = f"f{uuid4().hex[:8]}."
        self.children: dict[str, Child] = {}
        self.urls: dict[str, str] = {}
        """Address of the HTTP side of each service."""
        self.redis_folder = folder / "redis"
        self._redis_port = free_port()
        self.redis_proxy = Proxy(self._redis_port)
        self.ledger_url = f"http://127.0.0.1:{free_port()}"
        self._stack: Stack | None = None
        self.postgres_proxy: Proxy | None = None
        self.model_proxy: Proxy | None = None

    async def start(self, *, extras: bool = False) -> None:
        """Start everything. `extras`: Postgres, the model and the proxies, which only some rows need."""
        self.redis_folder.mkdir(parents=True)
        await topics.create(self.broker.address, self.prefix, topics.declared(AGENTS))
        await self.redis_proxy.start()
        await asyncio.gather(self.start_redis(), self._start_ledger())
        environment = {
            "WAGGLE_KAFKA": self.broker.address,
            "WAGGLE_REDIS": f"redis://127.0.0.1:{self.redis_proxy.port if extras else self._redis_port}/0",
            "WAGGLE_POSTGRES": "postgresql://nobody@127.0.0.1:9/none",
            "WAGGLE_TOPIC_PREFIX": self.prefix,
            "WAGGLE_UNSIGNED_DECISIONS": "accept",  # the caller here is everybody
            "FAULT_LEDGER": self.ledger_url,
            "WAGGLE_SESSION_TIMEOUT": SESSION[self.broker.kind],
        }
        self.environment = {**os.environ, **environment, **(await self._start_extras() if extras else {})}
        await asyncio.gather(*(self.start_service(name) for name in (*CORE, *AGENTS)))
        self.caller = Caller(self.broker.address, self.prefix, self.ledger_url)
        await self.caller.start()
        self.redis = Redis.from_url(
            f"redis://127.0.0.1:{self._redis_port}/0", decode_responses=True, retry=Retry(ConstantBackoff(0.1), 10)
        )

    async def stop(self) -> None:
        await self.caller.stop()
        await self.redis.aclose()
        for child in self.children.values():
            if child.pid is not None:
                os.kill(child.pid, signal.SIGCONT)
        await asyncio.gather(*(child.stop(5) for child in self.children.values()))
        if self._stack is not None:
            await self._stack.stop()
            shutil.rmtree(self._stack.state.postgres.parent, ignore_errors=True)
        for proxy in (self.redis_proxy, self.postgres_proxy, self.model_proxy):
            if proxy is not None:
                await proxy.stop()

    async def start_service(
        self, name: str, *, replica: str = "", changes: Mapping[str, str] | None = None, source: Path = ROOT
    ) -> Child:
        """Start a service, or one more of it; `changes` are of its environment, `source` is the code it runs."""
        port = free_port()
        own = {"WAGGLE_HTTP_PORT": str(port), "WAGGLE_HTTP_HOST": "127.0.0.1", **(changes or {})}
        called = name + replica
        own[points.ORDERS] = str(self.orders(called))
        module = [f"services.{name}"] if name in (*CORE, "gateway") else ["tests.faults.agents", name]
        url = self.urls[called] = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tests.faults.entry", *module]
        return await self._run(called, command, lambda: answers(f"{url}/ready"), self.environment | own, source)

    async def start_redis(self) -> None:
        command = embedded_redis.command(self._redis_port, self.redis_folder)
        url = f"redis://127.0.0.1:{self._redis_port}/0"
        await self._run("redis", command, lambda: redis_answers(url), dict(os.environ))

    async def stop_child(self, name: str) -> None:
        await self.children.pop(name).stop(20)

    def orders(self, name: str) -> Path:
        return self.folder / f"{name}.orders"

    def order(self, name: str, *lines: str) -> None:
        points.give(self.orders(name), *lines)

    def ordered(self) -> int:
        """Number of orders that were carried out in all."""
        return sum(points.done(self.orders(name)) for name in self.children)

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a process of ours; False if it does not run right now."""
        pid = self.children[name].pid
        if pid is not None:
            os.kill(pid, number)
        return pid is not None

    async def all_ready(self) -> None:
        """Return when every process answers again."""
        await asyncio.gather(*(child.await_ready() for child in self.children.values()))

    async def rule(self, op: str, do: str, when: str, times: int = 1, seconds: float = 0.0) -> None:
        """Set the ledger's reaction to a call."""
        rule = {"op": op, "do": do, "when": when, "times": times, "seconds": seconds}
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.ledger_url}/rules", json=rule)).raise_for_status()

    async def rules(self, *, forget: bool = False) -> dict[str, int]:
        """Number of reactions of the ledger, and of calls that it fenced off."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.request("DELETE" if forget else "GET", f"{self.ledger_url}/rules")
        return dict(answer.json())

    async def effects(self, prefix: str) -> list[dict[str, Any]]:
        """Effects that the ledger counted."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return list((await client.get(f"{self.ledger_url}/effects", params={"prefix": prefix})).json())

    async def _start_ledger(self) -> None:
        port = self.ledger_url.rpartition(":")[2]
        command = ["-m", "tests.faults.ledger", "--port", port, "--file", str(self.folder / "ledger.jsonl")]
        url = f"{self.ledger_url}/health"
        await self._run("ledger", [sys.executable, *command], lambda: answers(url), dict(os.environ))

    async def _start_extras(self) -> dict[str, str]:
        """Postgres and the simulated model, each behind a proxy."""
        given = {"WAGGLE_KAFKA": self.broker.address, "WAGGLE_REDIS": "redis://127.0.0.1:9", "WAGGLE_SMTP": "smtp://x"}
        free = {k: v for k, v in os.environ.items() if k not in ("WAGGLE_POSTGRES", "OPENAI_BASE_URL")}
        self._stack = Stack(self.folder / "parts", environment=free | given, services=[])
        self._stack.state.root.mkdir()
        await self._stack.start()
        there = self._stack.endpoints
        postgres, model = httpx.URL(there["WAGGLE_POSTGRES"]), httpx.URL(there["OPENAI_BASE_URL"])
        self.postgres_proxy = Proxy(Path(postgres.params["host"]) / ".s.PGSQL.5432")
        self.model_proxy = Proxy(model.port or 80)
        await self.postgres_proxy.start()
        await self.model_proxy.start()
        return {
            "WAGGLE_POSTGRES": f"postgresql://postgres@127.0.0.1:{self.postgres_proxy.port}/waggle?sslmode=disable",
            "OPENAI_BASE_URL": str(model.copy_with(port=self.model_proxy.port)),
            "OPENAI_API_KEY": "simulated",
        }

    async def _run(self, name: str, command: list[str], ready: Any, environment: dict, cwd: Path = ROOT) -> Child:
        child = self.children[name] = Child(
            name,
            command,
            environment=environment,
            log=self.folder / f"{name}.log",
            ready=ready,
            report=lambda name, line: None,
            cwd=cwd,
        )
        child.start(lambda: None)
        await child.await_ready()
        return child
