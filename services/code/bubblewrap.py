"""CPython in empty namespaces: under an unused user number, without the host's files, limited across all processes.

The project is copied into a sized folder in memory and copied back (`confined.py`), so that a program cannot write to
the host's disk. Limits that the kernel enforces per process only (memory and number of files) are measured from
outside, and a sandbox that exceeds them is ended.
"""

import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.code import confined
from services.code.confined import BadParcelError, pack, unpack
from services.code.seccomp import filter_here
from services.code.survey import memory_of, processes_below
from shared.system.files import remove_tree

PROCESSES = 32
_OUTPUT = 80_000
"""Bytes of output that are read."""
_GRACE = 5.0
"""Seconds after a program's time limit within which its project must be packed."""
_LOOK_EVERY = 0.05
_SCRATCH = 16 * 1_048_576
_FEW = 65_536
"""Bytes of /tmp, of /dev/shm, and of folders in which nothing should be written."""
_ENTRIES = 20_000
"""Maximum files and folders in the project's folder while a program runs."""
_USERS = range(61_184, 65_520)
"""User numbers without an account (systemd uses them briefly, too): root's programs run as one of them."""
_TMP = "/tmp"  # noqa: S108 -- the sandbox's own, as is its /dev/shm
_DEVICES = ("null", "random", "urandom")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one run: seconds, bytes of memory of all processes, bytes of one file."""

    seconds: float
    memory: int
    written: int


@dataclass(frozen=True, slots=True)
class Ran:
    """Outcome of a program."""

    exit_code: int
    stdout: str
    stderr: str
    late: bool


@functools.cache
def usable() -> str | None:
    """Return the path of a bwrap that runs a program here within all limits; None if there is none."""
    found = shutil.which("bwrap")
    if found is None or filter_here() is None:
        return None
    with tempfile.TemporaryDirectory(prefix="waggle-trial-") as folder:
        project, inputs = Path(folder, "project"), Path(folder, "inputs")
        project.mkdir()
        inputs.mkdir()
        trial = "open('made', 'w').write('works')"
        try:
            ran = run(found, ("trial.py", trial), project, inputs, Bounds(20.0, 536_870_912, 1_048_576))
        except OSError:
            return None
        works = ran.exit_code == 0 and (project / "made").is_file()
    return found if works else None


def run(bwrap: str, script: tuple[str, str], project: Path, inputs: Path, bounds: Bounds) -> Ran:
    """Run a script, given as name and source, and replace the project by its result."""
    with tempfile.TemporaryDirectory(prefix="waggle-sandbox-") as name, _user() as uid:
        folder = Path(name)
        with (folder / "out").open("w+b") as out, (folder / "in").open("w+b") as parcel:
            _packed(project, script, folder, parcel)
            order = {
                "uid": uid,
                "memory": bounds.memory,
                "processes": PROCESSES,
                "name": script[0],
                "seconds": bounds.seconds,
                "written": bounds.written,
                "out": out.fileno(),
            }
            with _streams(folder) as (stdout, stderr), _seccomp() as filtered:
                _readable(inputs)
                command = [*_confined(bwrap, inputs, filtered), json.dumps(order)]
                ended = _watched(command, parcel, (stdout, stderr), (out.fileno(), filtered), bounds)
            texts = [(folder / each).read_bytes()[:_OUTPUT].decode(errors="replace") for each in ("stdout", "stderr")]
            out.seek(0)
            return _outcome(ended, texts, out, project)


def _packed(project: Path, script: tuple[str, str], folder: Path, parcel: BinaryIO) -> None:
    (folder / "script").mkdir()
    (folder / "script" / script[0]).write_text(script[1])
    pack(str(project), parcel, without="inputs")
    pack(str(folder / "script"), parcel)
    parcel.seek(0)


@contextmanager
def _streams(folder: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        yield stdout, stderr


@contextmanager
def _seccomp() -> Iterator[int]:
    source, sink = os.pipe()
    os.write(sink, filter_here() or b"")
    os.close(sink)
    try:
        yield source
    finally:
        os.close(source)


_TAKEN: set[int] = set()


@contextmanager
def _user() -> Iterator[int]:
    """Return a user number that no other run has, if this process is root's; else its own."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    uid = random.choice([each for each in _USERS if each not in _TAKEN])  # noqa: S311 -- no secret
    _TAKEN.add(uid)
    try:
        yield uid
    finally:
        _TAKEN.discard(uid)


def _readable(inputs: Path) -> None:
    """Let the program's user read the attached files, which lie in a folder that only this process may enter."""
    inputs.chmod(0o755)
    for file in inputs.iterdir():
        file.chmod(0o644)


def _confined(bwrap: str, inputs: Path, seccomp: int) -> list[str]:
    system = [folder for folder in ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives") if Path(folder).exists()]
    interpreter = sorted({sys.base_prefix, sys.prefix} - set(system))
    above = {str(each) for folder in interpreter for each in Path(folder).parents} - {"/", _TMP, *system}
    passable = [part for folder in sorted(above) for part in ("--perms", "0755", "--dir", folder)]
    shown = [part for folder in (*system, *interpreter) for part in ("--ro-bind", folder, folder)]
    devices = [part for name in _DEVICES for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    root = os.geteuid() == 0
    return [
        *(bwrap, "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"),
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--cap-drop", "ALL", *(_AS_ROOT if root else _AS_USER), "--seccomp", str(seccomp)),
        *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"),
        *(*_sized("/dev", _FEW), *devices, "--symlink", "/proc/self/fd", "/dev/fd"),
        *(*_sized("/dev/shm", _SCRATCH), "--remount-ro", "/dev"),  # noqa: S108 -- the sandbox's own
        *_sized(_TMP, _SCRATCH),
        *(*passable, *shown),
        *(*_sized("/project", confined.MOST_BYTES), "--ro-bind", str(inputs), "/project/inputs"),
        *(*_sized("/script", 1_048_576), "--ro-bind", confined.__file__, "/confined.py", "--chdir", "/project"),
        *("--setenv", "HOME", _TMP, "--setenv", "PYTHONDONTWRITEBYTECODE", "1"),
        *("--setenv", "PATH", os.defpath, "--remount-ro", "/", sys.executable, "-I", "/confined.py"),
    ]


_AS_ROOT = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
"""Capabilities needed to become another user before anything of the program runs."""
_AS_USER = ("--unshare-user", "--uid", "65534", "--gid", "65534")


def _sized(folder: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", folder]


def _watched(
    command: list[str], parcel: BinaryIO, streams: tuple[BinaryIO, BinaryIO], kept: tuple[int, int], bounds: Bounds
) -> tuple[int, str | None]:
    """Run to the end; return the exit code, and the reason if it was ended from outside."""
    ends = time.monotonic() + bounds.seconds + _GRACE
    environment = {"PATH": os.defpath}  # bwrap is the sandbox's first process: its environment can be read there
    stdin, (stdout, stderr) = parcel, streams
    with subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        pass_fds=kept,
    ) as process:
        why = None
        try:
            while why is None and process.poll() is None:
                why = f"stopped after {bounds.seconds:g} s" if time.monotonic() > ends else _excess(process.pid, bounds)
                time.sleep(_LOOK_EVERY)
        finally:
            process.kill()
    return (process.returncode if why is None else 137), why


def _excess(pid: int, bounds: Bounds) -> str | None:
    """Return the exceeded limit of all processes together, if any."""
    below = processes_below(pid)
    if len(below) > PROCESSES + 8:
        return f"stopped: more than {PROCESSES} processes"
    if sum(map(memory_of, below)) > bounds.memory:
        return f"stopped: the processes use more than {bounds.memory // 1_048_576} MB together (out of memory)"
    if _entries(below) > _ENTRIES:
        return f"stopped: more than {_ENTRIES} files"
    return None


def _entries(below: list[int]) -> int:
    """Count the entries of the project's folder, as the kernel counts them."""
    for process in below:
        try:
            counted = os.statvfs(f"/proc/{process}/root/project")
        except OSError:
            continue
        if counted.f_blocks * counted.f_frsize == confined.MOST_BYTES:
            return counted.f_files - counted.f_ffree
    return 0


def _outcome(ended: tuple[int, str | None], texts: list[str], out: BinaryIO, project: Path) -> Ran:
    code, why = ended
    left = project.with_name(project.name + ".left")
    remove_tree(left)
    left.mkdir()
    try:
        manifest = unpack(out, str(left))
        code, late = int(manifest["exit"]), bool(manifest["late"])
        left_out = int(manifest["left_out"])
    except (BadParcelError, OSError, KeyError, TypeError, ValueError):
        remove_tree(left)
        texts[1] += f"\n{why or 'the sandbox ended early'}; what the program wrote is lost"
        return Ran(code or 1, texts[0], texts[1], bool(why and "after" in why))
    (left / "inputs").mkdir(exist_ok=True)
    remove_tree(project)
    left.rename(project)
    if late:
        texts[1] += "\nstopped: its time was up"
    if left_out:
        texts[1] += (
            f"\nleft out of the project: {left_out} entries (only regular files with plain names are kept, at most"
            f" {confined.MOST_FILES} and {confined.MOST_BYTES // 1_048_576} MB)"
        )
    return Ran(code, texts[0], texts[1], late)
