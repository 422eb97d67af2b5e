"""Waiting for a starting process: as long as it lives and makes progress, however slow the machine is."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

STILL = 300.0
"""Seconds without CPU time or log lines after which a process counts as stuck."""

SAY_EVERY = 15.0

_LEAST_CPU = 0.02
"""Seconds of CPU time that count as work: an idle process uses less in a minute."""

_LONGEST_TAIL = 3_000


class Progress:
    """Progress of a starting process. Its log is read from `begins` on."""

    def __init__(self, log: Path, begins: int = 0) -> None:
        self._log = log
        self._begins = begins
        self._began = self._moved = self._said = time.monotonic()
        self._cpu = 0.0
        self._size = begins

    def stuck(self, pid: int | None) -> bool:
        """Return true if it has made no progress for a long while."""
        cpu, size, now = _cpu_seconds(pid), self._length(), time.monotonic()
        if abs(cpu - self._cpu) > _LEAST_CPU or size != self._size:
            self._cpu, self._size, self._moved = cpu, size, now
        return now - self._moved > STILL

    def due(self) -> str | None:
        """Return a line about it, now and then."""
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return None
        self._said = now
        return f"still starting, {now - self._began:.0f} s, used {self._cpu:.1f} s CPU"

    def why(self, code: int | None) -> str:
        """Describe the failure of a process: its end, and the end of its log."""
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
    """Return the CPU time of a process and its descendants."""
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
