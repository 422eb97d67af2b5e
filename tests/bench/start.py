"""Cost of a start: CPU seconds of a process until it is ready, compared with an interpreter that does nothing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from shared.blackboard import Sentinel
from tests.bench.stage import ROOT, Stage
from tests.bench.table import Row, against

TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds of one unit of CPU time in `/proc`."""

MOST_CPU = 1.5
"""Seconds a service may take until it is ready."""

MOST_CPU_OF_A_COMMAND = 0.6
"""Seconds one call of the command line may take."""

COMMANDS = {"waggle --help": ("--help",), "waggle runs": ("runs", "--json")}
SERVICES = ("research", "gateway", "orchestrator", "timekeeper")


async def starts(at: Stage, rounds: int) -> list[Row]:
    """CPU of a start of the command line and of each kind of service; the median of several rounds."""
    bare = await _median(rounds, partial(_ran, "-c", "pass"))
    url = "http://127.0.0.1:9"  # nothing listens: the call ends when it would have been answered
    calls = {name: partial(_ran, "-m", "services.cli", *words, WAGGLE_GATEWAY=url) for name, words in COMMANDS.items()}
    await prepare(at)
    calls |= {name: partial(_until_ready, at, name) for name in SERVICES}
    return [_row(name, await _median(rounds, measure), bare) for name, measure in calls.items()]


async def prepare(at: Stage) -> None:
    """Create the services' topics, and a blackboard that is whole: no service waits for another."""
    await at.fresh(SERVICES)
    sentinel = Sentinel(at.redis)
    await sentinel.renew(1)
    await sentinel.close()


def _row(name: str, cpu: float, bare: float) -> Row:
    most = MOST_CPU if name in SERVICES else MOST_CPU_OF_A_COMMAND
    figure = f"start of {name}, CPU" + (" until ready" if name in SERVICES else "")
    return against(figure, cpu, "s", bare, target=f"≤ {most} s", reached=cpu <= most)


async def _median(rounds: int, measure: Callable[[], Awaitable[float]]) -> float:
    return median([await measure() for _ in range(rounds)])


async def _ran(*words: str, **environment: str) -> float:
    """CPU seconds of a process that ends by itself."""
    return await asyncio.to_thread(_run, [sys.executable, *words], os.environ | environment)


def _run(command: list[str], environment: Mapping[str, str]) -> float:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # waited for above
    return usage.ru_utime + usage.ru_stime


async def _until_ready(at: Stage, name: str) -> float:
    """CPU seconds that a service has used when it is ready."""
    child = await at.serve(f"services.{name}", name)
    assert child.pid is not None, f"{name} runs"
    used = _cpu(child.pid)
    await at.clear()
    return used


def _cpu(pid: int) -> float:
    """User and system seconds of a process; the fields of `/proc/<pid>/stat` follow its name, which may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK
