"""Local process of an MCP server: its environment, its messages and its end.

The package's own transport would pass on parts of our environment, and read a line of any length.
"""

import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import anyio
import structlog
from anyio.abc import ObjectReceiveStream, ObjectSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from shared.mcp.declare import Declared
from shared.mcp.streams import Streams
from shared.mcp.text import clean

log = structlog.get_logger()

LARGEST_MESSAGE = 4 * 1_048_576
"""Bytes of one message; a server that writes a longer one is stopped."""

GRACE = 2.0
"""Seconds a server has to end by itself, and the same after SIGTERM."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LINES_KEPT = 5
"""Output lines that are not messages, kept for the log."""

LAST_WORDS = 1.0
"""Seconds to wait for its return code and stderr after its output has ended."""

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)

Lost = Callable[[str], None]
"""Called once, with the reason, when the server is gone or abandoned."""


@asynccontextmanager
async def running(name: str, server: Declared, lost: Lost, output: deque[str]) -> AsyncGenerator[Streams]:
    """Run the server's command for the duration of the context. Raises OSError if it cannot be started.

    `output` receives its last lines that are no messages, which usually explain a failure.
    """
    assert server.command is not None, "it was declared with a command"
    process = await anyio.open_process(
        [server.command, *server.args],
        env=environment(server, os.environ),
        cwd=server.cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as tasks, incoming, read, write, outgoing:
            stderr_read, leaving = anyio.Event(), anyio.Event()
            tasks.start_soon(_read, process, incoming, _Ending(server, output, stderr_read, leaving, lost))
            tasks.start_soon(_write, process, outgoing)
            tasks.start_soon(_read_errors, name, server, process, output, stderr_read)
            try:
                yield read, write
            finally:
                leaving.set()
                with anyio.CancelScope(shield=True):
                    await _stop(process)
                tasks.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            _kill(process)


def environment(server: Declared, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the process's environment: PATH, HOME, and the declared variables."""
    return {"PATH": ours.get("PATH", _PATH), "HOME": ours.get("HOME", "/"), **server.env}


class _Ending(NamedTuple):
    """State for reporting the end of a process."""

    server: Declared
    output: deque[str]
    stderr_read: anyio.Event
    """Set when all of its stderr was read."""
    leaving: anyio.Event
    """Set when we end the process."""
    lost: Lost

    async def report(self, process: Process) -> None:
        """Report the status or signal it ended with, known a moment after its output ends."""
        if self.leaving.is_set():
            return
        with anyio.move_on_after(LAST_WORDS):
            while process.returncode is None:  # noqa: ASYNC110 -- `wait` would also wait for its pipes
                await anyio.sleep(0.01)
            await self.stderr_read.wait()
        self.lost(how_it_ended(process.returncode))

    def keep_stray_line(self, line: bytes) -> None:
        """Keep an output line that is no message."""
        text = clean(self.server.hide(line.decode(errors="replace")), 300)
        if text:
            self.output.append(f"no message: {text}")


def how_it_ended(code: int | None) -> str:
    """Describe the end of a process by its return code; None: it closed its output and is still running."""
    if code is None:
        return "it closed its output"
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


async def _read(process: Process, incoming: ObjectSendStream[SessionMessage | Exception], ending: _Ending) -> None:
    """Forward one message per line. Other lines, which many servers print by mistake, are skipped."""
    assert process.stdout is not None, "it was started with a pipe"
    lines = BufferedByteReceiveStream(process.stdout)
    async with incoming:
        try:
            while True:
                line = await lines.receive_until(b"\n", LARGEST_MESSAGE)
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError:
                    ending.keep_stray_line(line)
                    continue
                await incoming.send(message)
        except anyio.DelimiterNotFound:
            ending.lost(f"it wrote a message of more than {LARGEST_MESSAGE:,} bytes")
        except (anyio.IncompleteRead, *_GONE):
            await ending.report(process)


async def _write(process: Process, outgoing: ObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None, "it was started with a pipe"
    async with outgoing:
        with suppress(*_GONE):
            async for each in outgoing:
                line = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(line.encode() + b"\n")


async def _read_errors(
    name: str, server: Declared, process: Process, output: deque[str], stderr_read: anyio.Event
) -> None:
    """Log its stderr, and keep the last lines, which usually explain why it ended."""
    assert process.stderr is not None, "it was started with a pipe"
    rest = b""
    with suppress(*_GONE):
        async for chunk in process.stderr:
            *lines, rest = (rest + chunk)[-8_192:].split(b"\n")
            for line in filter(None, lines):
                text = clean(server.hide(line.decode(errors="replace")), 300)
                output.append(text)
                log.debug("mcp_server_stderr", server=name, text=text)
    if rest:
        output.append(clean(server.hide(rest.decode(errors="replace")), 300))
    stderr_read.set()


async def _stop(process: Process) -> None:
    """Close its input, which asks it to end; then signal its process group."""
    assert process.stdin is not None, "it was started with a pipe"
    with suppress(*_GONE):
        await process.stdin.aclose()
    if not await _ended(process):
        _signal(process, signal.SIGTERM)
        if not await _ended(process):
            _kill(process)
            await _ended(process)
    _kill(process)
    with suppress(*_GONE):
        await process.aclose()


async def _ended(process: Process) -> bool:
    """Return True if it ends in time. `wait` would also wait for its pipes, which its children may hold."""
    with anyio.move_on_after(GRACE):
        while process.returncode is None:  # noqa: ASYNC110 -- as above
            await anyio.sleep(0.01)
    return process.returncode is not None


def _kill(process: Process) -> None:
    """Kill its process group."""
    _signal(process, signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
