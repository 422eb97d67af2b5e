"""Files of a project, in a folder that programs can change: regular files only, within bounds, without following links.

Everything here blocks; the tools call it in threads.
"""

import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path

from services.code.confined import MOST_BYTES, MOST_FILES, open_regular, regular_files
from shared.tools import ToolError

LARGEST = 16 * 1_048_576
"""Maximum bytes read from a file."""

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def entries(project: Path) -> list[tuple[str, int]]:
    """List path and size of the regular files, by path."""
    found = [(path, size) for path, size in regular_files(str(project)) if size is not None]
    return sorted(found[:MOST_FILES])


def read(project: Path, path: str) -> bytes:
    """Return a file's content. Raises ToolError `unknown_file`, `not_a_file`, `too_large`."""
    try:
        with open_regular(str(project), path) as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        there = ", ".join(name for name, _ in entries(project)[:50]) or "none"
        message = f"there is no file `{path}` in the project; there are: {there}"
        raise ToolError("unknown_file", message, suggested_action="use one of them, or write it first") from None
    except OSError as wrong:
        raise _not_a_file(path) from wrong
    if len(content) > LARGEST:
        raise ToolError("too_large", f"`{path}` has more than {LARGEST:,} bytes", suggested_action="make it smaller")
    return content


def write(project: Path, path: str, content: bytes) -> None:
    """Write a file, replacing one of the same name. Raises ToolError `too_many_files`, `not_a_file`, `too_large`."""
    known = dict(entries(project))
    if path not in known and len(known) >= MOST_FILES:
        action = "write to an existing file"
        raise ToolError("too_many_files", f"a project has at most {MOST_FILES} files", suggested_action=action)
    if sum(known.values()) - known.get(path, 0) + len(content) > MOST_BYTES:
        raise ToolError("too_large", f"a project has at most {MOST_BYTES:,} bytes", suggested_action="write less")
    *parents, name = path.split("/")
    try:
        place = _made(project, parents)
        try:
            _replaced(place, name, content)
        finally:
            os.close(place)
    except OSError as wrong:
        raise _not_a_file(path, wrong) from wrong


def _made(project: Path, parents: list[str]) -> int:
    """Open the innermost folder; missing ones are created."""
    place = os.open(project, _FOLDER)
    for parent in parents:
        try:
            with suppress(FileExistsError):
                os.mkdir(parent, dir_fd=place)
            inner = os.open(parent, _FOLDER, dir_fd=place)
        finally:
            os.close(place)
        place = inner
    return place


def _replaced(place: int, name: str, content: bytes) -> None:
    """Write a temporary file and rename it: an existing file of that name is never opened."""
    beside = f".{uuid.uuid4().hex}"
    with os.fdopen(os.open(beside, _NEW, 0o644, dir_fd=place), "wb") as file:
        file.write(content)
    try:
        os.replace(beside, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        os.unlink(beside, dir_fd=place)
        raise


def _not_a_file(path: str, wrong: OSError | None = None) -> ToolError:
    if wrong is not None and wrong.errno == errno.ENOSPC:
        return ToolError("disk_full", f"`{path}` was not written: the disk is full", suggested_action="write less")
    message = f"`{path}` is not a regular file in a folder of the project"
    return ToolError("not_a_file", message, suggested_action="use another path")
