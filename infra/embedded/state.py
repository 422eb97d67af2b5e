"""State of a clone's processes: the folder `.waggle/`."""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

GRACE = 20.0
"""Seconds a process gets to end."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process, distinguished from a later one with the same number."""

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> "Started":
        """Return the process as it runs now. Raises psutil.NoSuchProcess."""
        return cls(name, pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class StateFolder:
    """`.waggle/` of one clone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / ".waggle"
        self.logs = self.path / "logs"
        self.mailbox = self.path / "mailbox"
        self.redis = self.path / "redis"
        self.endpoints = self.path / "endpoints.env"
        self.keys = self.path / "keys.toml"
        self._processes = self.path / "processes.json"
        self._lock: BinaryIO | None = None

    @property
    def postgres(self) -> Path:
        """Folder of this clone's Postgres data: outside the clone, whose folders must stay unreadable."""
        clone = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"waggle-{os.getuid()}-{clone}" / "postgres"  # noqa: S108 -- see prepare_postgres_dir

    def lock(self) -> bool:
        """Lock the folder until `clear`, or until this process ends. Return false if another process holds the lock."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def prepare(self) -> None:
        """Create the folders."""
        for folder in (self.path, self.logs, self.mailbox, self.redis):
            folder.mkdir(parents=True, exist_ok=True)

    def prepare_postgres_dir(self) -> None:
        """Create the folder around Postgres's data. Raises PermissionError if another user owns it."""
        folder = self.postgres.parent
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user; Postgres cannot keep its data there")

    def remember(self, pids: Mapping[str, int | None]) -> None:
        """Record the running processes, by name; the supervisor is the first. Ended ones are omitted."""
        processes = []
        for name, pid in pids.items():
            with suppress(psutil.NoSuchProcess):
                processes += [] if pid is None else [Started.of(name, pid)]
        write_atomically(self._processes, json.dumps([asdict(each) for each in processes], indent=1))

    def remembered(self) -> list[Started]:
        """Return the recorded processes."""
        try:
            return [Started(**each) for each in json.loads(self._processes.read_text())]
        except FileNotFoundError:
            return []

    def supervisor(self) -> psutil.Process | None:
        """Return the running `waggle up` of this clone, if there is one."""
        processes = self.remembered()
        return processes[0].process() if processes else None

    def write_endpoints(self, endpoints: dict[str, str]) -> None:
        """Write all addresses, for people and programs; a shell can source the file."""
        write_atomically(self.endpoints, "".join(f"{name}={shlex.quote(value)}\n" for name, value in endpoints.items()))

    def clear(self) -> None:
        """Remove the records: nothing runs."""
        self._processes.unlink(missing_ok=True)
        self.endpoints.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def fresh_folder(self, name: str) -> Path:
        """Create an empty folder of that name."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def postmaster(folder: Path) -> psutil.Process | None:
    """Return the Postgres that runs on the data in `folder`, even if another process started it."""
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        ours = str(folder) in " ".join(process.cmdline())
    except (FileNotFoundError, PermissionError, ValueError, IndexError, psutil.Error):
        return None
    return process if ours else None


def write_atomically(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def stop(processes: list[psutil.Process], grace: float, ask: int = signal.SIGTERM) -> None:
    """Ask processes to end, wait, and kill those that did not; this process is spared."""
    others = [process for process in processes if process.pid != os.getpid()]
    for process in others:
        _signal(process, ask)
    _, left = psutil.wait_procs(others, timeout=grace)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)


def _signal(process: psutil.Process, number: int) -> None:
    """Send a signal; a process that has ended is fine."""
    if process.is_running():
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
