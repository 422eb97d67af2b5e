"""Processes from /proc: descendants of a process, and their private memory."""

from pathlib import Path

_PROC = Path("/proc")
_COUNTED = ("RssAnon:", "RssShmem:", "VmSwap:")


def processes_below(pid: int) -> list[int]:
    """Return the descendants of a process, including orphans, which the sandbox's first process adopts."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    reached = [pid]
    while reached:
        below = children.get(reached.pop(), [])
        found += below
        reached += below
    return found


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def memory_of(pid: int) -> int:
    """Return the private bytes of a process: without file pages, which others share."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_COUNTED))
