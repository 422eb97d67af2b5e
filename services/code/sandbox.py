"""Sandbox for unreviewed Python: no network, no host files, limits on time, memory and output.

Two engines: `bubblewrap` runs CPython in empty namespaces, where it is installed and works; `monty` runs a subset of
Python in its own interpreter, installed by pip alone. Nothing ever runs outside of a sandbox.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from pydantic_monty import Monty, MontyCrashedError, MontyRuntimeError, MontySyntaxError, MountDir

from services.code import bubblewrap
from services.code.bubblewrap import Bounds, Ran
from shared.tools import ToolError

SECONDS = 20.0
MEMORY = 512 * 1_048_576
OUTPUT = 20_000
WRITTEN = 16 * 1_048_576
"""Bounds of one run: seconds of computing, bytes of memory, characters of output, bytes of one file."""

_AT_ONCE = 4
_CUT = "\n… cut off: more was printed than is kept …\n"
_RUNNING = ThreadPoolExecutor(_AT_ONCE, "sandbox")

Engine = Literal["bubblewrap", "monty"]


class RunOutcome(BaseModel):
    """Outcome of a run. `exit_code` 0 is success."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    engine: Engine
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Program:
    """Source to run, with the two folders it may see: the project at `.`, the attached files below `inputs/`."""

    name: str
    source: str
    project: Path
    inputs: Path


def engine(wanted: str) -> Engine:
    """Return the engine to use for the setting `auto`, `bubblewrap` or `monty`. Raises ToolError `sandbox_missing`."""
    if wanted == "monty" or (wanted == "auto" and bubblewrap.usable() is None):
        return "monty"
    if bubblewrap.usable() is None:
        action = "install bubblewrap where it may make namespaces, or set WAGGLE_SANDBOX=auto"
        raise ToolError("sandbox_missing", "bubblewrap does not work here", suggested_action=action)
    return "bubblewrap"


async def run(program: Program, wanted: str) -> RunOutcome:
    """Run a program until it ends or exceeds its bounds."""
    return await asyncio.get_running_loop().run_in_executor(_RUNNING, _run, program, wanted)


def _run(program: Program, wanted: str) -> RunOutcome:
    chosen = engine(wanted)
    started = time.monotonic()
    ran = (_monty if chosen == "monty" else _bubblewrap)(program)
    return RunOutcome(
        exit_code=ran.exit_code,
        stdout=_bounded(ran.stdout),
        stderr=_bounded(ran.stderr),
        seconds=round(time.monotonic() - started, 3),
        engine=chosen,
        timed_out=ran.late,
    )


def _bounded(text: str) -> str:
    return text if len(text) <= OUTPUT else text[:OUTPUT] + _CUT


def _bubblewrap(program: Program) -> Ran:
    bounds = Bounds(seconds=SECONDS, memory=MEMORY, written=WRITTEN)
    script = (program.name, program.source)
    return bubblewrap.run(bubblewrap.usable() or "", script, program.project, program.inputs, bounds)


class _TooMuchOutputError(Exception):
    """The program exceeded the output limit."""


class _Printed:
    """Collect a program's output, and stop the program when it exceeds the limit."""

    def __init__(self) -> None:
        self.text = {"stdout": "", "stderr": ""}

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        self.text[stream] += text
        if len(self.text[stream]) > OUTPUT:
            raise _TooMuchOutputError


def _monty(program: Program) -> Ran:
    printed = _Printed()
    limits = {"max_feed_duration_secs": SECONDS, "max_memory": MEMORY, "max_suspensions": 20_000}
    with (
        MountDir(
            host_path=program.project, virtual_path="/project", mode="read-write", write_bytes_limit=WRITTEN
        ) as own,
        MountDir(host_path=program.inputs, virtual_path="/project/inputs", mode="read-only") as inputs,
        Monty(request_timeout=SECONDS + 10) as pool,
        pool.checkout(script_name=program.name, limits=limits) as session,
    ):
        try:
            session.feed_run(program.source, print_callback=printed, mount=[own, inputs], cwd="/project")
        except (MontyRuntimeError, MontySyntaxError, MontyCrashedError) as failed:
            late = "time limit exceeded" in str(failed) or getattr(failed, "timed_out", False)
            return Ran(1, printed.text["stdout"], printed.text["stderr"] + str(failed), bool(late))
    return Ran(0, printed.text["stdout"], printed.text["stderr"], late=False)
