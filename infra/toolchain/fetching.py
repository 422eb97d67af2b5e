"""Creating folders of `.waggle/tools`, completely or not at all, by commands with time limits."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".waggle" / "tools"

PATIENCE = 600.0
"""Default time limit of a command, in seconds."""


class CommandFailed(RuntimeError):
    """A command failed or timed out; the message names it, with the end of its output."""


class ToolMissing(RuntimeError):
    """A check lacks a tool; the message says how to get it."""


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    within: float = PATIENCE,
) -> str:
    """Return its output. After `within` seconds it is killed, with its descendants. Raises CommandFailed."""
    words = [str(word) for word in command]
    shown = " ".join(words[:6])
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise CommandFailed(f"{words[0]} is not installed") from None
    try:
        output, complaints = process.communicate(timeout=within)
    except BaseException as ended:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(ended, subprocess.TimeoutExpired):
            raise CommandFailed(f"`{shown}` did not finish within {within:g} s and was stopped") from None
        raise
    if process.returncode:
        raise CommandFailed(f"`{shown}` failed:\n{(output + complaints)[-2_000:]}")
    return output


def place(name: str) -> Path:
    """Return the path of something, present or future."""
    return TOOLS / name


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of this name. If missing, `make` creates it elsewhere, and it is moved when complete.

    Raises ToolMissing when it cannot be created, and then leaves nothing behind.
    """
    if (there := place(name)).exists():
        return there
    print(f"Getting {name}, once …", file=sys.stderr, flush=True)
    began = time.monotonic()
    there.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=there.parent, prefix="getting-") as folder:
        _make(name, make, Path(folder) / name)
        _move(Path(folder) / name, there)
    print(f"Got {name} after {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)
    return there


def _make(name: str, make: Callable[[Path], None], draft: Path) -> None:
    try:
        make(draft)
    except CommandFailed as failed:
        raise ToolMissing(
            f"{name} cannot be fetched: {failed}\nCheck that package registries can be reached from here, then retry."
        ) from failed


def _move(draft: Path, there: Path) -> None:
    try:
        draft.rename(there)
    except OSError:
        if not there.exists():  # else another process has created it meanwhile
            raise
