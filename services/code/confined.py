"""First process inside the sandbox: unpack the project, run the program within its limits, pack the result.

The file is also imported outside, for the other end of a parcel. It depends on the standard library alone, because the
sandbox holds nothing else. A parcel is one line of JSON (`files`: path and size of each), followed by the contents: it
can only hold regular files, however the program has changed its folder.
"""

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MOST_FILES = 1_000
MOST_BYTES = 64 * 1_048_576
"""Bounds of a project: number of files, and their total bytes."""
DEEPEST = 20
LONGEST = 200
"""Depth of nested folders, and characters of a path."""

_LOOKED_AT = 5 * MOST_FILES
_OPEN = 128
"""Maximum open folders that wait to be searched."""
_DESCRIPTORS = 64
"""Files that one process of a program may hold open: each may use kernel memory that no other limit counts."""
_FIRST = 2
"""Process id of this process in the sandbox, where bubblewrap is 1; all others belong to the program."""
_MANIFEST = 2_000_000
_CHUNK = 1_048_576
_REGULAR = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


class BadParcelError(Exception):
    """Bytes that are no parcel, or exceed the bounds of one."""


def regular_files(folder: str) -> Iterator[tuple[str, int | None]]:
    """Yield path and size of every entry that is no folder, without following links or opening files.

    The size is None for entries no parcel takes: links, pipes, devices, odd names, folders that are nested too deep.
    """
    looked_at = 0
    folders = [("", os.open(folder, _FOLDER), 0)]
    try:
        while folders:
            prefix, place, depth = folders.pop()
            try:
                for name in _names(place, _LOOKED_AT - looked_at):
                    looked_at += 1
                    path = prefix + name
                    inner = _folder(place, name, path) if depth < DEEPEST and len(folders) < _OPEN else None
                    if inner is None:
                        yield path, _size(place, name, path)
                    else:
                        folders.append((f"{path}/", inner, depth + 1))
            finally:
                os.close(place)
    finally:
        for _, place, _ in folders:
            os.close(place)


def _names(place: int, most: int) -> list[str]:
    names: list[str] = []
    with os.scandir(place) as entries:
        for entry in entries:
            if len(names) >= most:
                break
            names.append(entry.name)
    return sorted(names)


def _folder(place: int, name: str, path: str) -> int | None:
    try:
        return os.open(name, _FOLDER, dir_fd=place) if _fit(path) else None
    except OSError:
        return None


def _size(place: int, name: str, path: str) -> int | None:
    try:
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
    except OSError:
        return None
    return status.st_size if _fit(path) and stat.S_ISREG(status.st_mode) else None


def _fit(path: str) -> bool:
    """Return true if a path is valid in a parcel: plain, short, printable and valid UTF-8."""
    parts = path.split("/")
    return (
        len(path) <= LONGEST
        and path.isprintable()
        and all(part not in ("", ".", "..") and len(part.encode(errors="replace")) <= 255 for part in parts)
    )


def pack(folder: str, into: BinaryIO, *, without: str = "", **said: Any) -> None:
    """Write a parcel of the folder's regular files, as many as fit; `without` names a folder to omit.

    The manifest also holds `left_out`, the number of omitted entries, and the entries of `said`.
    """
    files: list[tuple[str, int]] = []
    left_out = total = 0
    for path, size in regular_files(folder):
        if without and path.startswith(f"{without}/"):
            continue
        if size is None or len(files) >= MOST_FILES or total + size > MOST_BYTES:
            left_out += 1
            continue
        files.append((path, size))
        total += size
    manifest = {**said, "files": files, "left_out": left_out}
    into.write(json.dumps(manifest).encode() + b"\n")
    for path, size in files:
        _copy(folder, path, size, into)


def _copy(folder: str, path: str, size: int, into: BinaryIO) -> None:
    """Write exactly `size` bytes: a file that has become shorter is padded."""
    left = size
    try:
        file = open_regular(folder, path)
    except OSError:
        file = None
    if file is not None:
        with file:
            while left and (chunk := file.read(min(left, _CHUNK))):
                into.write(chunk)
                left -= len(chunk)
    while left:
        into.write(bytes(min(left, _CHUNK)))
        left -= min(left, _CHUNK)


def open_regular(folder: str, path: str) -> BinaryIO:
    """Open a regular file below a folder for reading, without following links. Raises OSError for anything else."""
    *parents, name = path.split("/")
    place = os.open(folder, _FOLDER)
    try:
        for parent in parents:
            inner = os.open(parent, _FOLDER, dir_fd=place)
            os.close(place)
            place = inner
        file = os.open(name, _REGULAR, dir_fd=place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(file, "rb")


def unpack(parcel: BinaryIO, folder: str) -> dict[str, Any]:
    """Write a parcel's files below an empty folder and return its manifest. Raises BadParcelError."""
    manifest = _manifest(parcel.readline(_MANIFEST))
    for path, size in manifest["files"]:
        target = Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        left = size
        with target.open("xb") as file:
            while left:
                chunk = parcel.read(min(left, _CHUNK))
                if not chunk:
                    raise BadParcelError("it ends too early")
                file.write(chunk)
                left -= len(chunk)
    return manifest


def _manifest(line: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(line)
        files = [(str(path), int(size)) for path, size in manifest["files"]]
    except (ValueError, TypeError, KeyError, RecursionError) as wrong:
        raise BadParcelError("it has no manifest") from wrong
    sizes = [size for _, size in files]
    if len(files) > MOST_FILES or min(sizes, default=0) < 0 or sum(sizes) > MOST_BYTES:
        raise BadParcelError("it holds too much")
    if not all(_fit(path) for path, _ in files):
        raise BadParcelError("it holds an invalid path")
    return {**manifest, "files": files}


def _drop(uid: int) -> None:
    """Drop root for good."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


def _limit(order: dict[str, Any]) -> None:
    """Set the kernel limits of each process of the sandbox, including this one."""
    for kind, most in (
        (resource.RLIMIT_AS, order["memory"]),
        (resource.RLIMIT_NPROC, order["processes"]),
        (resource.RLIMIT_CPU, int(order["seconds"]) + 5),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(kind, most)


def _lower(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _limit_program(written: int) -> None:
    """Set limits for the program only: this process writes the whole parcel and opens folders."""
    _lower(resource.RLIMIT_FSIZE, written)
    _lower(resource.RLIMIT_NOFILE, _DESCRIPTORS)


def _run(name: str, seconds: float, written: int) -> tuple[int, bool]:
    """Run the program; return its exit code, and True if it exceeded its time."""
    program = subprocess.Popen(
        [sys.executable, "-I", f"/script/{name}"],
        stdin=subprocess.DEVNULL,
        cwd="/project",
        preexec_fn=lambda: _limit_program(written),  # noqa: PLW1509 -- this process has one thread
    )
    try:
        code, late = program.wait(seconds), False
    except subprocess.TimeoutExpired:
        code, late = 124, True
    if os.getpid() == _FIRST:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    return (code if code >= 0 else 128 - code), late


def main(said: str) -> None:
    """Run the parcel from standard input, and write the result to the given descriptor."""
    order = json.loads(said)
    _drop(order["uid"])
    _limit(order)
    with os.fdopen(0, "rb", closefd=False) as parcel:
        unpack(parcel, "/project")
        unpack(parcel, "/script")
    os.close(0)
    os.open("/dev/null", os.O_RDONLY)
    code, late = _run(order["name"], order["seconds"], order["written"])
    with os.fdopen(order["out"], "wb") as out:
        pack("/project", out, without="inputs", exit=code, late=late)


if __name__ == "__main__":
    main(sys.argv[1])
