"""A Redis of the test's own that can be killed, started again, and put back to an old copy of its files."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from infra.embedded import redis as embedded_redis
from infra.probe import free_port, redis_answers

SYNCED = ("--appendfsync", "always")
"""Answered writes are in the files: synced every second, a write may wait for the sync before it."""


class RestartingRedis:
    """The server, its port and its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder / "redis", free_port()
        self._server: subprocess.Popen | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        command = embedded_redis.command(self._port, self._folder)
        self._server = subprocess.Popen([*command, *SYNCED])
        async with asyncio.timeout(30):
            while not await redis_answers(self.url):
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        self._server.kill()
        self._server.wait()

    async def restart(self, old: Path | None = None) -> None:
        """Kill it and start it again; with the files of an old copy, if one is given."""
        self.kill()
        if old is not None:
            shutil.rmtree(self._folder)
            shutil.copytree(old, self._folder)
        await self.start()

    def copy(self, place: Path) -> Path:
        """Its files as they are at this moment."""
        return Path(shutil.copytree(self._folder, place))
