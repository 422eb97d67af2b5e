"""Stage of the measurements: one broker, one Redis, services in their own processes."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from infra import topics
from infra.embedded import redis as embedded_redis
from infra.embedded.child import Child
from infra.kafka.broker import running
from infra.probe import answers, free_port, redis_answers
from shared.config import Settings
from tests.support.embedded_kafka import EmbeddedKafka

ROOT = Path(__file__).parents[2]
AGENTS = ("planner", "worker", "sleeper", "reviewer")


@dataclass
class Stage:
    """A broker, a Redis, and the services that were started on them."""

    name: str
    kafka: str
    redis: str
    folder: Path
    prefix: str = field(default_factory=lambda: f"b{uuid4().hex[:6]}.")
    children: dict[str, Child] = field(default_factory=dict)

    def settings(self, **changes: object) -> Settings:
        """Settings of a service on this stage."""
        own = {"topic_prefix": self.prefix, **changes}
        return Settings(kafka=self.kafka, redis=self.redis, **own)

    async def fresh(self, names: tuple[str, ...] = AGENTS) -> None:
        """Topics that no other test uses."""
        self.prefix = f"b{uuid4().hex[:6]}."
        await topics.create(self.kafka, self.prefix, topics.declared(names))

    async def serve(self, module: str, name: str, **environment: str) -> Child:
        """Start a service and return when it is ready."""
        port = environment.get("WAGGLE_HTTP_PORT") or free_port()
        own = {
            "WAGGLE_KAFKA": self.kafka,
            "WAGGLE_REDIS": self.redis,
            "WAGGLE_TOPIC_PREFIX": self.prefix,
            "WAGGLE_HTTP_PORT": str(port),
            **({"WAGGLE_SESSION_TIMEOUT": "2.5"} if self.name == "embedded" else {"WAGGLE_INSTANCE": name}),
            "WAGGLE_LOG_LEVEL": "WARNING",
        }
        child = Child(
            name,
            [sys.executable, "-m", *module.split()],
            environment=os.environ | own | environment,
            log=self.folder / f"{name}.log",
            ready=lambda: answers(f"http://127.0.0.1:{port}/ready"),
            report=lambda *_: None,
            cwd=ROOT,
        )
        self.children[name] = child
        child.start(lambda: None)
        await child.await_ready()
        return child

    async def swarm(self, *agents: str, **environment: str) -> None:
        """The orchestrator, the timekeeper and these agents."""
        modules = {name: f"services.{name}" for name in ("orchestrator", "timekeeper")}
        modules |= {name: f"tests.bench.agents {name.partition('-')[0]}" for name in agents}
        await asyncio.gather(*(self.serve(module, name, **environment) for name, module in modules.items()))

    async def clear(self) -> None:
        """Stop the services."""
        await asyncio.gather(*(child.stop(20.0) for child in self.children.values()))
        self.children.clear()


@asynccontextmanager
async def stage(kind: str) -> AsyncIterator[Stage]:
    """`kind`: embedded or real."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waggle-bench-")))
        if kind == "real":
            apache = running()
            kafka = await asyncio.to_thread(apache.__enter__)
            stack.push_async_callback(asyncio.to_thread, apache.__exit__, None, None, None)
        else:
            embedded = EmbeddedKafka()
            stack.callback(embedded.close)
            kafka = embedded.bootstrap
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        redis = Child(
            "redis",
            embedded_redis.command(port, folder),
            environment=os.environ,
            log=folder / "redis.log",
            ready=lambda: redis_answers(url),
            report=lambda *_: None,
            cwd=ROOT,
        )
        redis.start(lambda: None)
        await redis.await_ready()
        stack.push_async_callback(redis.stop, 10.0)
        found = Stage(kind, kafka, url, folder)
        await found.fresh()
        stack.push_async_callback(found.clear)
        yield found
