"""The Kafka under test, as a process that can be ended and started again on what it kept."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

from infra.embedded.child import Child
from infra.kafka import broker as apache
from infra.probe import kafka_answers

ROOT = Path(__file__).parents[2]
QUIET = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


class Broker:
    """`embedded` or `real`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.address = ""
        self._folder = folder
        self._child: Child | None = None

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = await asyncio.to_thread(self._apache) if self.kind == "real" else self._embedded()
        self._child = Child(
            "kafka",
            command,
            environment=os.environ,
            log=self._folder / "kafka.log",
            ready=self._answers,
            report=lambda name, line: None,
            cwd=ROOT,
            restart=self.kind == "real",
        )
        self._child.start(lambda: None)
        await self._child.await_ready()

    async def stop(self) -> None:
        assert self._child is not None, "it is stopped after it was started"
        await self._child.stop(20)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def await_ready(self) -> None:
        assert self._child is not None, "it is awaited after it was started"
        await self._child.await_ready()

    def _embedded(self) -> list[str]:
        return [sys.executable, "-m", "infra.embedded.kafka", "--address-file", str(self._folder / "address")]

    def _apache(self) -> list[str]:
        jars = f"{apache.libraries()}/*"
        port, configuration = apache._configure(self._folder, self._folder / "data", apache.Secured({}, {}, {}))
        self.address = f"127.0.0.1:{port}"
        apache._java(jars, "kafka.tools.StorageTool", "format", "-t", uuid4().hex[:22], "-c", str(configuration))
        return ["java", "-Xmx512m", "-Xms256m", "-cp", jars, *QUIET, "kafka.Kafka", str(configuration)]

    async def _answers(self) -> bool:
        address = self._folder / "address"
        if self.kind == "embedded" and address.exists():
            self.address = address.read_text()
        return bool(self.address) and await kafka_answers(self.address)
