"""Making a folder of `.waggle/tools` whole or not at all, by commands that end."""

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
"""Seconds a command may take that is given no other time."""


class CommandFailed(RuntimeError):
    """A command failed or did not end in time; the message says which, and the end of what it said."""


class ToolMissing(RuntimeError):
    """A check cannot be made here for want of a tool; the message says what to do."""


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    within: float = PATIENCE,
) -> str:
    """Its output. After `within` seconds it is ended, with all it started. Raises CommandFailed."""
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
            raise CommandFailed(f"`{shown}` had not ended after {within:g} s and was stopped") from None
        raise
    if process.returncode:
        raise CommandFailed(f"`{shown}` failed:\n{(output + complaints)[-2_000:]}")
    return output


def place(name: str) -> Path:
    """Where something is, or will be."""
    return TOOLS / name


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, made by `make` if it is not there: at another place, moved when it is whole.

    Raises ToolMissing when it cannot be made, and then leaves nothing.
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
            f"{name} cannot be fetched: {failed}\nSee that package registries can be reached from here, then try again."
        ) from failed


def _move(draft: Path, there: Path) -> None:
    try:
        draft.rename(there)
    except OSError:
        if not there.exists():  # else somebody else has made it meanwhile
            raise
