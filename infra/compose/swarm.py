"""The compose file's processes without containers: same image content, environment and commands, real servers here.

Differences: host names resolve to servers on loopback, every process has a port of its own, and the folders of volumes
lie under one folder. There is no collector, so nothing is traced.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from infra.compose import image
from infra.compose.reading import Compose, Model, mounts
from infra.embedded.child import Child
from infra.probe import free_port

ONCE_WITHIN = 120.0
"""Time limit of a command that should end, in seconds."""

_GRACE = 20.0

_APART = "WAGGLE_METRICS_PORT"


class Swarm:
    """Our containers' processes, run by `python` of a folder with the image's content."""

    def __init__(self, compose: Compose, built: Path, folder: Path, servers: Mapping[str, str]) -> None:
        """`servers` maps each `host:port` or URL of the compose file to an address on loopback."""
        self._compose = compose
        self._built = built
        self._folder = folder
        self._ports = {name: free_port() for name in compose.ours()}
        apart = (name for name, model in compose.ours().items() if _APART in model.get("environment", {}))
        self._metrics = self._ports | {name: free_port() for name in apart}
        self._servers = dict(servers) | {f"{name}:8080": f"127.0.0.1:{port}" for name, port in self._ports.items()}
        self._children: dict[str, Child] = {}
        folder.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self._run_once(name) for name in self._ending()))
            await asyncio.gather(*(self._start(name) for name in self.lasting()))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Terminate every process, as an engine does."""
        await asyncio.gather(*(child.stop(_GRACE) for child in self._children.values()))

    def address(self, name: str) -> str:
        """Return the HTTP address of a process."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def metrics(self, name: str) -> str:
        """Return the metrics address of a process."""
        return f"http://127.0.0.1:{self._metrics[name]}/metrics"

    def place(self, path: str, name: str) -> Path:
        """Return the local path for a path of a container."""
        for mount in mounts(self._compose.services[name]):
            if path.startswith(mount.target):
                source = self._folder / mount.source if mount.named else self._compose.root / mount.source
                return source / path[len(mount.target) :].lstrip("/")
        raise KeyError(path)

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run its health check and return the result."""
        words = self._compose.services[name]["healthcheck"]["test"]
        return self.run(name, words[1:])

    def run(self, name: str, words: list[str], *, asked: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in a container with this standard input; return its output."""
        return subprocess.run(
            [self._here(word, name) for word in words],
            env=self._environment(name),
            cwd=self._folder,
            timeout=ONCE_WITHIN,
            input=asked,
            capture_output=True,
            text=True,
            check=False,
        )

    def lasting(self) -> list[str]:
        """Return the services that keep running."""
        ours = self._compose.ours().items()
        return [name for name, model in ours if name not in self._ending() and "core" in model["profiles"]]

    def _ending(self) -> list[str]:
        restarts = {name: model["restart"] for name, model in self._compose.ours().items()}
        return [name for name, restart in restarts.items() if restart.startswith("on-failure")]

    async def _run_once(self, name: str) -> None:
        ran = await asyncio.to_thread(self.run, name, self._command(name))
        if ran.returncode != 0:
            raise ChildProcessError(f"{name} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")

    async def _start(self, name: str) -> None:
        async def healthy() -> bool:
            return (await asyncio.to_thread(self.health, name)).returncode == 0

        child = self._children[name] = Child(
            name,
            [self._here(word, name) for word in self._command(name)],
            environment=self._environment(name),
            log=self._folder / f"{name}.log",
            ready=healthy,
            report=lambda name, line: None,
            cwd=self._folder,
        )
        child.start(lambda: None)
        await child.await_ready()

    def _command(self, name: str) -> list[str]:
        return self._compose.services[name].get("command") or image.command(self._compose.root)

    def _environment(self, name: str) -> dict[str, str]:
        model = self._compose.services[name]
        said = image.environment(self._compose.root) | model.get("environment", {})
        filled = {variable: self._here(str(value), name) for variable, value in said.items()}
        return _machine(self._built) | filled | self._own(name, model)

    def _own(self, name: str, model: Model) -> dict[str, str]:
        return {
            "SERVICE": model["build"]["args"]["SERVICE"],
            "WAGGLE_HTTP_HOST": "127.0.0.1",
            "WAGGLE_HTTP_PORT": str(self._ports[name]),
            **({_APART: str(self._metrics[name])} if _APART in model.get("environment", {}) else {}),
            "OTEL_EXPORTER_OTLP_ENDPOINT": "",
            "MPLCONFIGDIR": str(self._folder / "matplotlib"),
        }

    def _here(self, text: str, name: str) -> str:
        """Return the environment with local addresses and folders."""
        for there, here in self._servers.items():
            text = here if re.search(rf"@{there}/", text) and "://" in here else text.replace(there, here)
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self._ports[name]}")
        if text in {"8080", "0.0.0.0"}:  # noqa: S104 -- what is replaced
            return str(self._ports[name]) if text == "8080" else "127.0.0.1"
        for mount in mounts(self._compose.services[name]):
            text = re.sub(rf"(?<![\w/.]){mount.target}(?=[/,]|$)", str(self.place(mount.target, name)), text)
        return text


def _machine(built: Path) -> dict[str, str]:
    return {"PATH": f"{built / 'bin'}:{os.environ['PATH']}", "HOME": "/tmp"}  # noqa: S108 -- as in the image
