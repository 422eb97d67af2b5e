"""A clock for figures that other work of the machine is no part of."""

import time
from pathlib import Path

SCHEDULE = Path("/proc/thread-self/schedstat")
"""Nanoseconds that this thread had the CPU, and that it waited for it although it could run."""


def unhindered() -> float:
    """Return seconds that leave out those in which this thread could run and other work had the CPU."""
    waited = int(SCHEDULE.read_text().split()[1]) / 1e9 if SCHEDULE.exists() else 0.0
    return time.perf_counter() - waited
