"""A person who works through the inbox in a browser, by keyboard, while replicas of console and gateway are killed."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from infra.probe import free_port

CHUNK = 1 << 16


class Balancer:
    """A port in front of several: each connection goes to the next that accepts it, without affinity."""

    def __init__(self) -> None:
        self.targets: list[int] = []
        self._next = 0
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self):
        """Its address, for as long as a block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader, writer) -> None:
        task = asyncio.create_task(self._connected(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connected(self, reader, writer) -> None:
        with suppress(OSError):
            there_reader, there_writer = await self._open()
            ways = [self._pipe(reader, there_writer), self._pipe(there_reader, writer)]
            await asyncio.gather(*ways, return_exceptions=True)
        writer.close()

    async def _open(self):
        for _ in self.targets:
            self._next += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.targets[self._next % len(self.targets)])
        raise OSError("no replica accepts connections")

    async def _pipe(self, reader, writer) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()


@dataclass
class Replica:
    """A process of a service, which can be killed and comes back on the same port."""

    service: str
    environment: Mapping[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        own = {"WAGGLE_HTTP_PORT": str(self.port), "WAGGLE_HTTP_HOST": "127.0.0.1"}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"services.{self.service}",
                env={**self.environment, **own},
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{self.port}/ready")).is_success:
                        return
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def replicas(service: str, environment: Mapping[str, str], folder: Path, count: int = 2):
    """Replicas of a service behind one address."""
    balancer = Balancer()
    made = [Replica(service, {**os.environ, **environment}, folder / f"{service}-{n}.log") for n in range(count)]
    try:
        await asyncio.gather(*(each.start() for each in made))
        balancer.targets = [each.port for each in made]
        async with balancer.listening() as address:
            yield address, made
    finally:
        await asyncio.gather(*(each.kill() for each in made))


async def kill_in_turn(victims: list[tuple[Replica, ...]], seconds: float, killed: list[str]) -> None:
    """Kill one group of replicas after the other, each after so many seconds, and start it again."""
    while True:
        for group in victims:
            await asyncio.sleep(seconds)
            await asyncio.gather(*(each.kill() for each in group))
            killed += [each.service for each in group]
            await asyncio.gather(*(each.start() for each in group))


class Person:
    """A person at a keyboard: every page is read, and nothing is clicked."""

    def __init__(self, page, console: str) -> None:
        self.page = page
        self.console = console
        self.sent: dict[str, str] = {}
        """Question → the answer that was sent for it."""
        self.reloads = 0

    async def log_in(self, key: str) -> None:
        for _ in range(20):
            await self._open("/login")
            await self._focus('input[name="key"]')
            await self.page.keyboard.type(key)
            await self._press("Enter", back="/login")
            if await self.page.locator('form[action="/logout"]').count():
                return
        raise AssertionError(await self.page.inner_text("main"))

    async def answer_all(self, choose) -> float:
        """Answer one question after the other until there is none; return the seconds it took.

        `choose`: the text of a page → the answer to give.
        """
        started = time.monotonic()
        await self._open("/inbox/next")
        while await self.page.locator("form.decide").count():
            await self._answer(choose(await self.page.inner_text("main")))
        return time.monotonic() - started

    async def _answer(self, reply: str) -> None:
        form = self.page.locator("form.decide").first
        request_id = (await form.get_attribute("action") or "").partition("id=")[2]
        if reply in ("reject", "respond"):
            await self._focus('form.decide textarea[name="message"]')
            await self.page.keyboard.type("not this one")
        await self._focus(f'form.decide button[value="{reply}"]')
        before = self.page.url
        await self._press("Enter")
        if "notice=" in self.page.url and self.page.url != before:
            self.sent[request_id] = reply

    async def _focus(self, selector: str) -> None:
        """Press Tab until the control has the focus."""
        for _ in range(80):
            if await self.page.locator(f"{selector}:focus").count():
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    async def _press(self, key: str, back: str = "/inbox/next") -> None:
        """Press a key that leaves the page; if no page comes, or one of a failure, go back, as a person would."""
        from playwright.async_api import Error

        try:
            async with self.page.expect_navigation(timeout=15_000):
                await self.page.keyboard.press(key)
        except Error:
            await self._open(back)
        if await self.page.locator('main [role="alert"]').count():
            await self._open(back)

    async def _open(self, path: str) -> None:
        from playwright.async_api import Error

        for _ in range(60):
            with suppress(Error):
                answer = await self.page.goto(self.console + path)
                if answer is not None and answer.ok:
                    return
            self.reloads += 1
            await asyncio.sleep(0.25)
        raise AssertionError(f"{path} never came")
