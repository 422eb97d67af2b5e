"""What a clone remembers of the processes it started: the folder `.waggle/`."""

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


@dataclass(frozen=True, slots=True)
class Started:
    """A process, so that no other one that got its number later is taken for it."""

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> "Started":
        """The process as it runs now. Raises psutil.NoSuchProcess."""
        return cls(name, pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still runs."""
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
        self._claim: BinaryIO | None = None

    @property
    def postgres(self) -> Path:
        """Where this clone's Postgres keeps its data: outside the clone, whose folders must stay unreadable."""
        clone = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"waggle-{os.getuid()}-{clone}" / "postgres"  # noqa: S108 -- see own_postgres

    def claim(self) -> bool:
        """Make the folder ours until `forget`, or until this process ends. False: it is somebody else's."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._claim = lock
        return True

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.logs, self.mailbox, self.redis):
            folder.mkdir(parents=True, exist_ok=True)

    def own_postgres(self) -> None:
        """Make the folder around Postgres's data. Raises PermissionError if somebody else made it before us."""
        folder = self.postgres.parent
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} is somebody else's; Postgres's data cannot lie there")

    def remember(self, pids: Mapping[str, int | None]) -> None:
        """Write down what runs, by name; the supervisor is the first. What has ended meanwhile is left out."""
        processes = []
        for name, pid in pids.items():
            with suppress(psutil.NoSuchProcess):
                processes += [] if pid is None else [Started.of(name, pid)]
        write_whole(self._processes, json.dumps([asdict(each) for each in processes], indent=1))

    def remembered(self) -> list[Started]:
        """What was written down last."""
        try:
            return [Started(**each) for each in json.loads(self._processes.read_text())]
        except FileNotFoundError:
            return []

    def supervisor(self) -> psutil.Process | None:
        """The running `waggle up` of this clone, if there is one."""
        processes = self.remembered()
        return processes[0].process() if processes else None

    def write_endpoints(self, endpoints: dict[str, str]) -> None:
        """Write where everything is, for people and programs to read; a shell can take it in as it is."""
        write_whole(self.endpoints, "".join(f"{name}={shlex.quote(value)}\n" for name, value in endpoints.items()))

    def forget(self) -> None:
        """Nothing runs any more."""
        self._processes.unlink(missing_ok=True)
        self.endpoints.unlink(missing_ok=True)
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def fresh_folder(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.path / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def postmaster(folder: Path) -> psutil.Process | None:
    """The Postgres that runs on the data in `folder`, whoever started it."""
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        ours = str(folder) in " ".join(process.cmdline())
    except (FileNotFoundError, PermissionError, ValueError, IndexError, psutil.Error):
        return None
    return process if ours else None


def write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner reads, so that nobody ever sees a part of it."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def stop(processes: list[psutil.Process], grace: float, ask: int = signal.SIGTERM) -> None:
    """Ask processes to end, wait, and end those that did not; this one is left alone."""
    others = [process for process in processes if process.pid != os.getpid()]
    for process in others:
        _signal(process, ask)
    _, left = psutil.wait_procs(others, timeout=grace)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)


def _signal(process: psutil.Process, number: int) -> None:
    """Send a signal; a process that is gone is what was wanted."""
    if process.is_running():
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
