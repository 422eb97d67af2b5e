"""A TCP proxy between the swarm and a dependency, which can pass, delay, swallow or refuse."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "swallow", "refuse"]
"""`swallow` takes connections and bytes and gives nothing back: a network that broke without a word."""

CHUNK = 1 << 16


class Proxy:
    """A port on loopback in front of another, or of a Unix socket."""

    def __init__(self, target: int | Path) -> None:
        self.port = 0
        """Address it listens on, once started."""
        self.delay = 0.0
        """Seconds each piece of data is held up, either way."""
        self.broken = 0
        """Number of connections that were cut, swallowed or refused."""
        self._target = target
        self._mode: Mode = "pass"
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def become(self, mode: Mode) -> None:
        """Change the mode. Connections that there are stay when it becomes `swallow`, otherwise they are cut: what
        was swallowed cannot be given back."""
        self._mode = mode
        if mode != "swallow":
            await self._cut()
        else:
            self.broken += len(self._connections)

    async def _cut(self) -> None:
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is handled in a task"
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            self.broken += 1
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "refuse":
            self.broken += 1
            return
        if self._mode == "swallow":
            self.broken += 1
            while await reader.read(CHUNK):
                pass
            return
        try:
            there_reader, there_writer = await self._open()
        except OSError:
            return
        ways = [asyncio.create_task(self._pipe(*way)) for way in ((reader, there_writer), (there_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            there_writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self._mode == "swallow":
                    continue
                writer.write(data)
                await writer.drain()
