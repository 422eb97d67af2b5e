"""Parsing of untrusted bytes in processes that are killed at their limits, even if a parser blocks the interpreter.

`Readers` starts one process that imports a module of pure functions (`reading_child.py`), without this process's
environment. Each call forks a child of that process, which takes milliseconds, and the kernel ends the child when its
limit of CPU time, memory or wall-clock time is reached.
"""

import asyncio
import atexit
import json
import os
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

from schemas.error import ErrorInfo
from shared.tools.call import WITHOUT_IT, ToolError

TOO_COSTLY = "too_costly"
"""Code of a ToolError: reading was stopped at a limit."""

_READY_WITHIN = 60.0
_LARGEST_ANSWER = 64 * 1_048_576
_GRACE = 5.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Limits of one call: CPU seconds, wall-clock seconds, bytes of memory beyond those of the imported parsers."""

    cpu: float = 8.0
    seconds: float = 15.0
    memory: int = 192 * 1_048_576


class Readers:
    """Calls functions of one module, each in its own process, a few in parallel."""

    def __init__(self, module: str, limits: ReadingLimits | None = None, at_once: int = 2) -> None:
        self._module = module
        self._limits = limits or ReadingLimits()
        self._threads = ThreadPoolExecutor(at_once, f"reading-{module.rpartition('.')[2]}")
        self._places = BoundedSemaphore(at_once)
        self._lock = Lock()
        self._parent: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        atexit.register(self.close)

    async def read(self, function: str, content: bytes, name: str, arguments: dict[str, Any]) -> Any:
        """Return the JSON result of a function of the module for the content.

        `name` names the content in messages. Raises ToolError `too_costly`, and those of the function.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self.read_blocking(function, content, name, arguments))

    def read_blocking(self, function: str, content: bytes, name: str, arguments: dict[str, Any]) -> Any:
        """Do the same as `read`, blocking the thread."""
        ours, theirs = socket.socketpair()
        with self._places, ours:
            with theirs:
                self._hand_over(theirs)
            answer = self._asked(ours, {"function": function, "arguments": arguments, **asdict(self._limits)}, content)
        if answer is None or answer.get("exhausted"):
            limits = f"{self._limits.cpu:g} s or {self._limits.memory // 1_048_576} MB"
            raise ToolError(TOO_COSTLY, f"{name} takes more than {limits} to read", suggested_action=WITHOUT_IT)
        if refused := answer.get("refused"):
            raise ToolError.of(ErrorInfo.model_validate(refused))
        if failed := answer.get("failed"):
            raise ToolError("unreadable", f"{name} cannot be read ({failed})", suggested_action=WITHOUT_IT)
        return answer["result"]

    def close(self) -> None:
        """End the process that forks children."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._parent is not None:
            with suppress(subprocess.TimeoutExpired):
                self._parent.wait(1.0)
            self._parent.kill()
            self._parent.wait()
        self._parent = self._control = None

    def _hand_over(self, theirs: socket.socket) -> None:
        with self._lock:
            try:
                socket.send_fds(self._started(), [b"c"], [theirs.fileno()])
            except OSError:  # the process has ended
                self._stop()
                socket.send_fds(self._started(), [b"c"], [theirs.fileno()])

    def _started(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        ours.settimeout(_READY_WITHIN)
        with theirs:
            self._parent = subprocess.Popen(  # noqa: S603 -- the command is ours
                [sys.executable, "-m", "shared.tools.reading_child", self._module],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            )
        self._control = ours
        if ours.recv(1) != b"r":
            self._stop()
            raise RuntimeError(f"the process that reads with {self._module} did not start")
        return ours

    def _asked(self, channel: socket.socket, order: dict[str, Any], content: bytes) -> dict[str, Any] | None:
        """Return the child's answer; None if it ended without one."""
        ends = time.monotonic() + self._limits.seconds + _GRACE
        channel.settimeout(self._limits.seconds + _GRACE)
        head = json.dumps({**order, "size": len(content)}).encode()
        try:
            channel.sendall(struct.pack("!I", len(head)) + head)
            channel.sendall(content)
            received = bytearray()
            while time.monotonic() < ends and len(received) <= _LARGEST_ANSWER and (part := channel.recv(1 << 18)):
                received += part
            answer = json.loads(received)
        except (OSError, ValueError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None
