"""Safe handling of folders and file names produced by untrusted code."""

import hashlib
import os
import stat
import uuid
from pathlib import Path

LONGEST_NAME = 200
"""Bytes of a local file name: most file systems allow 255, and other programs append suffixes."""

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def remove_tree(folder: Path) -> None:
    """Remove a folder, regardless of its depth and permissions; a missing one is no error.

    Nested folders are moved up before they are emptied, so that no path grows long and nothing recurses.
    """
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        folder.unlink()
        return
    folder.chmod(stat.S_IRWXU)
    top = os.open(folder, _FOLDER)
    try:
        while names := _names(top):
            for name in names:
                _remove(top, name)
    finally:
        os.close(top)
    folder.rmdir()


def _remove(top: int, name: str) -> None:
    """Remove an entry of the top folder, after moving the folders inside it up to the top folder."""
    if not _opened_up(top, name):
        os.unlink(name, dir_fd=top)
        return
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        for each in _names(inner):
            if _opened_up(inner, each):
                os.rename(each, uuid.uuid4().hex, src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _names(place: int) -> list[str]:
    with os.scandir(place) as entries:
        return [entry.name for entry in entries]


def _opened_up(place: int, name: str) -> bool:
    """Return True for a folder, after granting its owner all permissions."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
        return False
    os.chmod(name, stat.S_IRWXU, dir_fd=place)
    return True


def local_name(name: str) -> str:
    """Return the local name of a file: its own, unless a file system would reject it.

    A name that is too long in bytes, or has invalid characters, is shortened and made unique by a hash; its suffix is
    kept, since readers depend on it.
    """
    if name.isprintable() and "/" not in name and name not in ("", ".", "..") and _length(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    plain = "".join(each if each.isprintable() and each != "/" else "_" for each in name)
    stem, dot, suffix = plain.rpartition(".")
    if not dot or not stem or _length(suffix) > 20:
        stem, suffix = plain, ""
    kept = stem.encode(errors="replace")[: LONGEST_NAME - 40].decode(errors="ignore")
    return f"{kept}-{digest}.{suffix}" if suffix else f"{kept}-{digest}"


def _length(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))
