"""A service as a process of its own that a test kills."""

import asyncio
import os
import signal
import sys

from infra.probe import answers, free_port
from tests.conftest import ROOT


class Process:
    """The service, which is killed by its id and started once more."""

    def __init__(self, settings, service: str = "memory", **own: str) -> None:
        self.service = service
        self.port = free_port()
        self.environment = (
            os.environ
            | {
                "WAGGLE_KAFKA": settings.kafka,
                "WAGGLE_REDIS": settings.redis,
                "WAGGLE_POSTGRES": settings.postgres,
                "WAGGLE_TOPIC_PREFIX": settings.topic_prefix,
                "WAGGLE_HTTP_PORT": str(self.port),
                "WAGGLE_SESSION_TIMEOUT": "1.0",
            }
            | own
        )

    async def start(self, *, ready=True) -> None:
        self.running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{self.service}", env=self.environment, cwd=ROOT
        )
        async with asyncio.timeout(60):
            while ready and not await answers(f"http://127.0.0.1:{self.port}/ready"):
                assert self.running.returncode is None, "it has ended"
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self.running.returncode is None:
            os.kill(self.running.pid, signal.SIGKILL)
        await self.running.wait()
