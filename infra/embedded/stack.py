"""`Stack`: the swarm and its servers, run as processes; a server that the environment names is used instead."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from infra import topics
from infra.embedded import redis as embedded_redis
from infra.embedded.child import Child, Reporter
from infra.embedded.down import down
from infra.embedded.state import GRACE, StateFolder, write_atomically
from infra.probe import answers, free_port, kafka_answers, listens, redis_answers
from shared.a2a import declared_remotes
from shared.access.principals import read_principals
from shared.access.signing import from_secret, new_secret, public_half
from shared.bus.admin import await_kafka
from shared.bus.security import secured
from shared.config import Settings, settings_of
from shared.config.key_forms import SIMULATED_KEY
from shared.errors import Misconfigured
from shared.system.urls import bypass_loopback

KAFKA_WITHIN = 5.0
"""Seconds a configured Kafka has to answer."""

SESSION_TIMEOUT = "2.5"
"""Session timeout with the embedded Kafka, which allows any: a killed service is back in less than twice as long."""

REPOSITORY = Path(__file__).parents[2]


class AlreadyRunningError(RuntimeError):
    """A stack of this clone is already running."""


def service_names(source: Path = REPOSITORY) -> list[str]:
    """Return every service: the runnable folders, except the command line."""
    found = sorted(path.parent.name for path in (source / "services").glob("*/__main__.py"))
    return [name for name in found if name != "cli"]


def remote_names(environment: Mapping[str, str]) -> list[str]:
    """Return the agents elsewhere that the environment declares. Raises Misconfigured."""
    named = environment.get("WAGGLE_REMOTES", "").strip()
    return sorted(declared_remotes(Path(named))) if named else []


class Stack:
    """The processes of one clone; its services are those in `source`."""

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str] | None = None,
        services: Sequence[str] | None = None,
        report: Reporter = lambda name, line: None,
        source: Path = REPOSITORY,
    ) -> None:
        self.state = StateFolder(root)
        self.endpoints: dict[str, str] = {}
        given = os.environ if environment is None else environment
        self._environment = {name: value.strip() for name, value in given.items()}
        bypass_loopback(self._environment)
        self._signing_key = self._environment.pop("WAGGLE_SIGNING_KEY", "")
        """The gateway's: no other process gets it."""
        self._source = source
        self._remotes = remote_names(self._environment)
        self._services = [*service_names(source), *self._remotes] if services is None else list(services)
        self._report = report
        self._children: list[Child] = []
        self._failed = asyncio.Event()

    async def start(self) -> None:
        """Start everything and return when it is ready.

        Raises AlreadyRunningError, NotReadyError, and, for a configured Kafka, ConnectionError if it is unreachable
        and Misconfigured if it refuses the client.
        """
        if not self.state.lock():
            other = self.state.supervisor()
            named = f" (process {other.pid})" if other else ""
            raise AlreadyRunningError(f"a stack of {self.state.root} is already running{named}; `waggle down` stops it")
        down(self.state.root)
        self.state.prepare()
        self._changed()
        self._decide_who_decides()
        if not self._given("WAGGLE_SEAL"):
            self.endpoints["WAGGLE_SEAL"] = "true"
        try:
            await asyncio.gather(self._kafka(), self._redis(), self._postgres(), self._mail(), self._model())
            await self._start_services()
        except BaseException:
            await self.stop()
            raise
        self.state.write_endpoints(self.endpoints)

    @property
    def lost(self) -> bool:
        """True if a process ended whose content is lost with it."""
        return self._failed.is_set()

    async def wait(self) -> None:
        """Return when a process ended that cannot be restarted."""
        await self._failed.wait()

    async def stop(self) -> None:
        """Stop everything, services first."""
        services = [child for child in self._children if child.name in self._services]
        await asyncio.gather(*(child.stop(GRACE) for child in services))
        await asyncio.gather(*(child.stop(GRACE) for child in self._children if child not in services))
        self.state.clear()

    async def _kafka(self) -> None:
        prefix = self._environment.get("WAGGLE_TOPIC_PREFIX", "waggle.")
        wanted = topics.declared([*topics.agents(self._source / "services"), *self._remotes])
        if given := self._given("WAGGLE_KAFKA"):
            settings = settings_of(self._environment, Settings)
            await await_kafka(settings, KAFKA_WITHIN)
            await topics.create(given, prefix, wanted, secured=secured(settings))
            return
        address = self.state.fresh_folder("kafka-embedded") / "address"
        names = [f"{prefix}{topic.name}:{topic.partitions}" for topic in wanted]

        async def ready() -> bool:
            return address.exists() and await kafka_answers(address.read_text())

        arguments = ["--address-file", str(address), *names]
        await self._run("kafka", ["-m", "infra.embedded.kafka", *arguments], ready, restart=False)
        self.endpoints["WAGGLE_KAFKA"] = address.read_text()

    async def _redis(self) -> None:
        if self._given("WAGGLE_REDIS"):
            return
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        if not self._environment.get("WAGGLE_KAFKA"):
            self.state.fresh_folder(
                "redis"
            )  # the embedded Kafka has lost its records, so the blackboard must not wait for them
        command = embedded_redis.command(port, self.state.redis)
        await self._run("redis", command, lambda: redis_answers(url), program=True)
        self.endpoints["WAGGLE_REDIS"] = url

    async def _postgres(self) -> None:
        if self._given("WAGGLE_POSTGRES"):
            return
        address = self.state.fresh_folder("postgres-embedded") / "address"

        async def ready() -> bool:
            return address.exists()

        self.state.prepare_postgres_dir()
        own = {"TMPDIR": str(self.state.postgres.parent)}  # the wheel keeps a lock there that no other user could open
        arguments = ["--folder", str(self.state.postgres), "--address-file", str(address)]
        await self._run("postgres", ["-W", "ignore", "-m", "infra.embedded.postgres", *arguments], ready, extra=own)
        self.endpoints["WAGGLE_POSTGRES"] = address.read_text()

    async def _mail(self) -> None:
        if self._given("WAGGLE_SMTP"):
            return
        port = free_port()
        arguments = ["--port", str(port), "--folder", str(self.state.mailbox)]
        await self._run("mail", ["-m", "infra.embedded.mail", *arguments], lambda: listens(port))
        self.endpoints["WAGGLE_SMTP"] = f"smtp://127.0.0.1:{port}"

    async def _model(self) -> None:
        if self._given("OPENAI_BASE_URL"):
            self.endpoints["OPENAI_API_KEY"] = self._environment.get("OPENAI_API_KEY", "")
            return
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = ["-m", "infra.simulated_model", "--port", str(port)]
        await self._run("model", command, lambda: answers(f"{url}/health"))
        self.endpoints |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": SIMULATED_KEY}

    def _decide_who_decides(self) -> None:
        """Configure the trust in decisions: unsigned if no keys are configured, else signed with a key of the gateway.

        An unreadable key file is left to the services, which report the problem.
        """
        if self._given("WAGGLE_UNSIGNED_DECISIONS") or self._signing_key:
            return
        named = self._environment.get("WAGGLE_KEYS")
        if not named:
            self.endpoints["WAGGLE_UNSIGNED_DECISIONS"] = "accept"
            return
        with suppress(Misconfigured):
            if (principals := read_principals(Path(named))) and not principals.services:
                self._sign_for(Path(named))

    def _sign_for(self, principals: Path) -> None:
        """Let the gateway sign for the people in a file, with a key that lasts as long as this stack."""
        self._signing_key = new_secret()
        entry = f'[services.gateway]\ned25519 = "{public_half(from_secret(self._signing_key))}"\n'
        write_atomically(self.state.keys, f"{principals.read_text()}\n{entry}")
        self.endpoints["WAGGLE_KEYS"] = str(self.state.keys)

    async def _start_services(self) -> None:
        ports = {name: free_port() for name in self._services}
        if "gateway" in ports:
            ports["gateway"] = int(self._environment.get("WAGGLE_HTTP_PORT") or ports["gateway"])
            self.endpoints["WAGGLE_GATEWAY"] = _local(ports["gateway"])
        if "console" in ports:
            self.endpoints["WAGGLE_CONSOLE_URL"] = _local(ports["console"])
        await asyncio.gather(*(self._service(name, port) for name, port in ports.items()))

    async def _service(self, name: str, port: int) -> None:
        own = {"WAGGLE_HTTP_PORT": str(port), "WAGGLE_HTTP_HOST": "127.0.0.1"}
        own |= {"WAGGLE_SIGNING_KEY": self._signing_key} if name == "gateway" else {}
        if "WAGGLE_KAFKA" not in self._environment:
            own |= {"WAGGLE_SESSION_TIMEOUT": SESSION_TIMEOUT}
        else:  # one replica of each service in this folder: it has its partitions back as soon as it restarts
            own |= {"WAGGLE_INSTANCE": f"{name}-{sha256(str(self.state.root).encode()).hexdigest()[:8]}"}
        remote = name in self._remotes
        own |= {"WAGGLE_REMOTE": name} if remote else {}
        module = "services.remote.serve" if remote else f"services.{name}"
        await self._run(name, ["-m", module], lambda: answers(f"{_local(port)}/ready"), extra=own)

    def _given(self, variable: str) -> str | None:
        value = self._environment.get(variable)
        if value:
            self.endpoints[variable] = value
        return value

    async def _run(
        self,
        name: str,
        command: Sequence[str],
        ready: Callable[[], Awaitable[bool]],
        *,
        program: bool = False,
        restart: bool = True,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        child = Child(
            name,
            command if program else [sys.executable, *command],
            environment=self._environment | self.endpoints | dict(extra or {}),
            log=self.state.logs / f"{name}.log",
            ready=ready,
            report=self._report,
            cwd=self._source,
            restart=restart,
        )
        self._children.append(child)
        child.start(self._changed)
        await child.await_ready()
        if not restart:
            asyncio.create_task(self._watch(child))  # noqa: RUF006 -- the event it sets is what is waited for

    async def _watch(self, child: Child) -> None:
        await child.ended()
        if child.stopping:
            return
        self._report(child.name, "has ended; its content is lost, so everything is stopped")
        self._failed.set()

    def _changed(self) -> None:
        pids = {"waggle up": os.getpid()} | {child.name: child.pid for child in self._children}
        self.state.remember(pids)


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def up(root: Path, *, announce: Callable[[Stack], None], stack: Stack) -> None:
    """Run a stack until SIGINT or SIGTERM, or until it cannot continue. `announce` is called once it is ready."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    starting = asyncio.create_task(stack.start())
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return
    starting.result()
    announce(stack)
    failing = asyncio.create_task(stack.wait())
    await asyncio.wait({failing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await stack.stop()
