"""One supervised process: started, awaited, logged, and restarted when it dies."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from infra.probe import die_with_parent
from infra.progress import Progress

Reporter = Callable[[str, str], None]
"""Receives the name of a process and a line about or from it."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before a dead process is restarted; doubled each time it does not live long."""

LOOK_EVERY = 0.05
"""Seconds between readiness checks."""


class NotReadyError(RuntimeError):
    """A process did not become ready; the message contains the end of its log."""


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
        report: Reporter,
        cwd: Path,
        restart: bool = True,
    ) -> None:
        self.name = name
        self.restart = restart
        self._command = command
        self._environment = environment
        self._log = log
        self._log_begins = log.stat().st_size if log.exists() else 0
        self._ready = ready
        self._report = report
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def stopping(self) -> bool:
        """True after it was asked to end."""
        return self._stopping.is_set()

    def start(self, changed: Callable[[], None]) -> None:
        """Start it and keep it running. `changed` is called whenever its process is replaced."""
        self._supervision = asyncio.create_task(self._supervise(changed))

    async def await_ready(self) -> None:
        """Return when it is ready. Raises NotReadyError when it ends and is not restarted, or makes no progress."""
        progress = Progress(self._log, self._log_begins)
        while self._supervision is None or not self._supervision.done():
            if self.pid is not None and await self._ready():
                self._was_ready = True
                return
            if progress.stuck(self.pid):
                break
            if line := progress.due():
                self._report(self.name, line)
            await asyncio.sleep(LOOK_EVERY)
        ended = self._process.returncode if self._process is not None else None
        raise NotReadyError(f"{self.name} did not become ready: it {progress.why(ended)}")

    async def ended(self) -> None:
        """Return when it has ended and is not restarted."""
        if self._supervision is not None:
            await asyncio.wait([self._supervision])

    async def stop(self, grace: float) -> None:
        """Ask it to end, wait, then kill it and its descendants."""
        self._stopping.set()
        if self._supervision is None:
            return
        self._ask_to_end()
        await asyncio.wait([self._supervision], timeout=grace)
        if not self._supervision.done():
            self._report(self.name, f"did not end within {grace:g} s and was killed")
            self._end_group()
        await self._supervision

    async def _supervise(self, changed: Callable[[], None]) -> None:
        pause = SHORTEST_PAUSE
        while not self.stopping:
            began = time.monotonic()
            code = await self._run(changed)
            refused = not self._was_ready and code > 0
            if self.stopping or not self.restart or refused:  # a process that refuses to start would refuse forever
                return
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = SHORTEST_PAUSE
            self._report(self.name, f"ended with status {code}; restarted in {pause:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run(self, changed: Callable[[], None]) -> int:
        # A pipe of our own: with asyncio's, wait() would wait for every holder of the pipe, not for the process.
        out, into = os.pipe()
        try:
            process = self._process = await self._spawn(into)
        finally:
            os.close(into)
            output = asyncio.create_task(self._keep_output(out))
        changed()
        if self.stopping:  # logged while the process was being started
            self._ask_to_end()
        code = await process.wait()
        self._end_group()
        with suppress(TimeoutError):  # a process that left the group may hold the pipe forever
            await asyncio.wait_for(output, 1.0)
        return code

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(self._environment),
            cwd=self._cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def _ask_to_end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def _end_group(self) -> None:
        """Kill the process and all that it started and left behind."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _keep_output(self, out: int) -> None:
        stream, begun = asyncio.StreamReader(), b""
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(out, "rb", buffering=0)
        )
        with closing(pipe), self._log.open("ab", buffering=0) as log:
            while chunk := await stream.read(1 << 16):
                log.write(chunk)
                *lines, begun = (begun + chunk).split(b"\n")
                for line in lines:
                    self._report(self.name, line.decode(errors="replace").rstrip("\r"))
        if begun:
            self._report(self.name, begun.decode(errors="replace"))
