"""Running Python that nobody has looked at: no network, none of the host's files, bounded in time, memory and output.

Two engines, one dialect. `bubblewrap` runs CPython in empty namespaces where it is installed and works; `monty` runs a
subset of Python in an interpreter of its own, from pip alone. Nothing ever runs outside of a sandbox.
"""

import asyncio
import functools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from pydantic_monty import Monty, MontyCrashedError, MontyRuntimeError, MontySyntaxError, MountDir

from shared.tools import ToolError

SECONDS = 20.0
MEMORY = 512 * 1_048_576
OUTPUT = 20_000
WRITTEN = 16 * 1_048_576
"""Bounds of one run: seconds of computing, bytes of memory, characters of output, bytes of one file."""

_PROCESSES = 64
_CUT = "\n… cut off: more was printed than is kept …\n"

Engine = Literal["bubblewrap", "monty"]


class RunOutcome(BaseModel):
    """What a run came to. `exit_code` 0 is success."""

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
    """The engine to use for the setting `auto`, `bubblewrap` or `monty`. Raises ToolError `sandbox_missing`."""
    if wanted == "monty" or (wanted == "auto" and not _bubblewrap_works()):
        return "monty"
    if not _bubblewrap_works():
        action = "install bubblewrap where it may make namespaces, or set WAGGLE_SANDBOX=auto"
        raise ToolError("sandbox_missing", "bubblewrap does not work here", suggested_action=action)
    return "bubblewrap"


async def run(program: Program, wanted: str) -> RunOutcome:
    """Run a program to its end or to its bounds."""
    chosen = engine(wanted)
    started = time.monotonic()
    runner = _monty if chosen == "monty" else _bubblewrap
    exit_code, stdout, stderr, timed_out = await asyncio.to_thread(runner, program)
    return RunOutcome(
        exit_code=exit_code,
        stdout=_bounded(stdout),
        stderr=_bounded(stderr),
        seconds=round(time.monotonic() - started, 3),
        engine=chosen,
        timed_out=timed_out,
    )


def _bounded(text: str) -> str:
    return text if len(text) <= OUTPUT else text[:OUTPUT] + _CUT


class _TooMuchOutputError(Exception):
    """The program prints without end."""


class _Printed:
    """Collects what a program prints, and stops it when it prints too much."""

    def __init__(self) -> None:
        self.text = {"stdout": "", "stderr": ""}

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        self.text[stream] += text
        if len(self.text[stream]) > OUTPUT:
            raise _TooMuchOutputError


def _monty(program: Program) -> tuple[int, str, str, bool]:
    printed = _Printed()
    limits = {"max_feed_duration_secs": SECONDS, "max_memory": MEMORY, "max_suspensions": 100_000}
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
            return 1, printed.text["stdout"], printed.text["stderr"] + str(failed), bool(late)
    return 0, printed.text["stdout"], printed.text["stderr"], False


def _bubblewrap(program: Program) -> tuple[int, str, str, bool]:
    with tempfile.TemporaryDirectory(prefix="waggle-sandbox-") as folder:
        script = Path(folder) / program.name
        script.write_text(program.source)
        outputs = [Path(folder) / "stdout", Path(folder) / "stderr"]
        with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
            late = False
            try:
                ran = subprocess.run(
                    [*_confined(program, script), sys.executable, "-I", f"/script/{program.name}"],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env={
                        "PATH": os.defpath
                    },  # the sandbox's first process is bwrap itself: its environment can be read
                    timeout=SECONDS,
                    check=False,
                    preexec_fn=_limit,
                )
                code = ran.returncode
            except subprocess.TimeoutExpired:
                code, late = 124, True
        texts = [path.read_bytes()[: 4 * OUTPUT].decode(errors="replace") for path in outputs]
    if late:
        texts[1] += f"\nstopped after {SECONDS:g} s"
    return code, texts[0], texts[1], late


def _confined(program: Program, script: Path) -> list[str]:
    system = [folder for folder in ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives") if Path(folder).exists()]
    interpreter = sorted({sys.base_prefix, sys.prefix} - set(system))
    shown = [part for folder in (*system, *interpreter) for part in ("--ro-bind", folder, folder)]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(WRITTEN), "--tmpfs", "/tmp"),  # noqa: S108 -- the sandbox's own
        *shown,
        *("--bind", str(program.project), "/project", "--ro-bind", str(program.inputs), "/project/inputs"),
        *("--ro-bind", str(script.parent), "/script", "--chdir", "/project"),
        *("--setenv", "HOME", "/tmp", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"),  # noqa: S108 -- the sandbox's own
    ]


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(SECONDS)),
        (resource.RLIMIT_FSIZE, WRITTEN),
        (resource.RLIMIT_NPROC, _PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


@functools.cache
def _bubblewrap_works() -> bool:
    """Whether it is installed and may make namespaces here, found out by running it."""
    if shutil.which("bwrap") is None or not hasattr(os, "geteuid"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        probe = Program("probe.py", "", Path(folder) / "project", Path(folder) / "inputs")
        probe.project.mkdir()
        (probe.project / "inputs").mkdir()
        probe.inputs.mkdir()
        script = Path(folder) / "probe.py"
        script.write_text("print('works')")
        command = [*_confined(probe, script), sys.executable, "-I", "/script/probe.py"]
        ran = subprocess.run(command, capture_output=True, timeout=20, check=False)
    return ran.returncode == 0 and b"works" in ran.stdout
