"""One supervised process: started, awaited, its output kept, started again when it dies."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.probe import die_with_parent

Say = Callable[[str, str], None]
"""Takes the name of a process and a line about or from it."""

LONGEST_PAUSE = 5.0
READY_WITHIN = 60.0


class NotReadyError(RuntimeError):
    """A process did not become ready; the message has the end of its log."""


class Child:
    """A process and its supervision."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        ready: Callable[[], Awaitable[bool]],
        say: Say,
        cwd: Path,
        restart: bool = True,
    ) -> None:
        self.name = name
        self.restart = restart
        self._command = command
        self._environment = environment
        self._log = log
        self._ready = ready
        self._say = say
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._supervision: asyncio.Task[None] | None = None
        self.stopping = False

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self, changed: Callable[[], None]) -> None:
        """Start it and keep it running. `changed` is called whenever its process is another one."""
        self._supervision = asyncio.create_task(self._supervise(changed))

    async def await_ready(self) -> None:
        """Return when it can be used. Raises NotReadyError after a minute, or when it has ended for good."""
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            if self._supervision is not None and self._supervision.done():
                break
            if self.pid is not None and await self._ready():
                return
            await asyncio.sleep(0.05)
        raise NotReadyError(f"{self.name} did not become ready; the end of {self._log}:\n{self._tail()}")

    async def ended(self) -> None:
        """Return when it has ended for good."""
        if self._supervision is not None:
            await asyncio.wait([self._supervision])

    async def stop(self, grace: float) -> None:
        """Ask it to end, wait, then end it."""
        self.stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), grace)
            except TimeoutError:
                self._say(self.name, f"did not end within {grace:g} s and was killed")
                with suppress(ProcessLookupError):
                    process.kill()
        if self._supervision is not None:
            await self._supervision

    async def _supervise(self, changed: Callable[[], None]) -> None:
        pause = 0.2
        while not self.stopping:
            began = time.monotonic()
            code = await self._run(changed)
            if self.stopping or not self.restart:
                return
            pause = 0.2 if time.monotonic() - began > 10 * LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._say(self.name, f"ended with status {code}; started again in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def _run(self, changed: Callable[[], None]) -> int:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(self._environment),
            cwd=self._cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
            limit=1 << 20,
        )
        changed()
        await self._keep_output(self._process)
        return await self._process.wait()

    async def _keep_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        with self._log.open("ab", buffering=0) as log:
            while chunk := await process.stdout.read(1 << 16):
                log.write(chunk)
                for line in chunk.decode(errors="replace").splitlines():
                    self._say(self.name, line)

    def _tail(self) -> str:
        with suppress(FileNotFoundError):
            return os.linesep.join(self._log.read_text(errors="replace").splitlines()[-20:])
        return ""
