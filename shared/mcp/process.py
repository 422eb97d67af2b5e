"""An MCP server that runs here: its process, what it is given, and what is read of what it writes.

The package's own transport would hand it parts of our environment, and read a line of any length.
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
"""Seconds a server has to end by itself, and then once more after SIGTERM."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LINES_KEPT = 5
"""Lines of what it writes that is no message, for the log."""

LAST_WORDS = 1.0
"""Seconds for its return code and its stderr to come after the end of its output."""

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)

Lost = Callable[[str], None]
"""Told once, with the reason, when the server is gone or is given up."""


@asynccontextmanager
async def running(name: str, server: Declared, lost: Lost, said: deque[str]) -> AsyncGenerator[Streams]:
    """Run the server's command for as long as the context lasts. Raises OSError when it cannot be started.

    `said` gets the last lines of what it writes that is no message: they say why it does not work.
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
            heard, leaving = anyio.Event(), anyio.Event()
            tasks.start_soon(_read, process, incoming, _Ending(server, said, heard, leaving, lost))
            tasks.start_soon(_write, process, outgoing)
            tasks.start_soon(_listen_to_errors, name, server, process, said, heard)
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
    """What the process finds in its environment: where programs and its home are, and what was declared for it."""
    return {"PATH": ours.get("PATH", _PATH), "HOME": ours.get("HOME", "/"), **server.env}


class _Ending(NamedTuple):
    """What is known when a process has ended."""

    server: Declared
    said: deque[str]
    heard: anyio.Event
    """Set when all of its stderr was read."""
    leaving: anyio.Event
    """Set when it is we who end it."""
    lost: Lost

    async def report(self, process: Process) -> None:
        """Say how it ended: its status or signal, which come a moment after its output ends."""
        if self.leaving.is_set():
            return
        with anyio.move_on_after(LAST_WORDS):
            while process.returncode is None:  # noqa: ASYNC110 -- `wait` would wait for its pipes as well
                await anyio.sleep(0.01)
            await self.heard.wait()
        self.lost(how_it_ended(process.returncode))

    def strange(self, line: bytes) -> None:
        """Keep a line of its output that is no message."""
        text = clean(self.server.hide(line.decode(errors="replace")), 300)
        if text:
            self.said.append(f"no message: {text}")


def how_it_ended(code: int | None) -> str:
    """How a process ended that has this return code; None: its output has ended, and it runs on."""
    if code is None:
        return "it closed its output"
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


async def _read(process: Process, incoming: ObjectSendStream[SessionMessage | Exception], ending: _Ending) -> None:
    """Hand on one message a line. A line that is none is what many servers print by mistake, and is passed over."""
    assert process.stdout is not None, "it was started with a pipe"
    lines = BufferedByteReceiveStream(process.stdout)
    async with incoming:
        try:
            while True:
                line = await lines.receive_until(b"\n", LARGEST_MESSAGE)
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError:
                    ending.strange(line)
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
                said = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(said.encode() + b"\n")


async def _listen_to_errors(
    name: str, server: Declared, process: Process, said: deque[str], heard: anyio.Event
) -> None:
    """Log what it writes to stderr, and keep the last lines: they say why it ended."""
    assert process.stderr is not None, "it was started with a pipe"
    rest = b""
    with suppress(*_GONE):
        async for chunk in process.stderr:
            *lines, rest = (rest + chunk)[-8_192:].split(b"\n")
            for line in filter(None, lines):
                text = clean(server.hide(line.decode(errors="replace")), 300)
                said.append(text)
                log.debug("an MCP server says", server=name, text=text)
    if rest:
        said.append(clean(server.hide(rest.decode(errors="replace")), 300))
    heard.set()


async def _stop(process: Process) -> None:
    """Close its input, which tells it to end; then ask it, and whatever it has started, to."""
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
    """Whether it ends soon. `wait` would wait for its pipes as well, which what it has started may hold."""
    with anyio.move_on_after(GRACE):
        while process.returncode is None:  # noqa: ASYNC110 - as above
            await anyio.sleep(0.01)
    return process.returncode is not None


def _kill(process: Process) -> None:
    """End it and whatever it has started, at once."""
    _signal(process, signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
