"""Waiting for a process that starts: for as long as it lives and does something, however slow the machine is."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

STILL = 300.0
"""Seconds without any work or any line of its log after which a process counts as stuck."""

SAY_EVERY = 15.0

_LEAST_CPU = 0.02
"""Seconds of CPU time that count as work: a process that only waits uses less in a minute."""

_LONGEST_TAIL = 3_000


class Progress:
    """What a starting process has done so far. Its log is looked at from `begins` on."""

    def __init__(self, log: Path, begins: int = 0) -> None:
        self._log = log
        self._begins = begins
        self._began = self._moved = self._said = time.monotonic()
        self._cpu = 0.0
        self._size = begins

    def stuck(self, pid: int | None) -> bool:
        """Return whether it has done nothing for a long while."""
        cpu, size, now = _cpu_seconds(pid), self._length(), time.monotonic()
        if abs(cpu - self._cpu) > _LEAST_CPU or size != self._size:
            self._cpu, self._size, self._moved = cpu, size, now
        return now - self._moved > STILL

    def due(self) -> str | None:
        """A line about it, now and then."""
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return None
        self._said = now
        return f"still starting, {now - self._began:.0f} s, used {self._cpu:.1f} s CPU"

    def why(self, code: int | None) -> str:
        """What is to be said of a process that cannot be used: how it ended, and the end of its log."""
        how = f"did nothing for {STILL:g} s" if code is None else f"ended with status {code}"
        tail = self._tail()
        return f"{how}; the end of {self._log}:\n{tail}" if tail else f"{how}; {self._log} is empty"

    def _length(self) -> int:
        with suppress(OSError):
            return self._log.stat().st_size
        return self._begins

    def _tail(self) -> str:
        with suppress(OSError):
            text = self._log.read_bytes()[self._begins :][-_LONGEST_TAIL:].decode(errors="replace")
            return "\n".join(text.splitlines()[-20:]).strip()
        return ""


def _cpu_seconds(pid: int | None) -> float:
    """CPU time of a process and of what it has started."""
    with suppress(psutil.Error):
        process = psutil.Process(pid) if pid is not None else None
        family = [process, *process.children(recursive=True)] if process is not None else []
        return sum(_own(each) for each in family)
    return 0.0


def _own(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
