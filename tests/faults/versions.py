"""Rows: two versions of a service, and clocks that jump."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.broker import ROOT
from tests.faults.kills import slow_runs
from tests.faults.table import REAL, NotRun, row
from tests.faults.trial import Trial
from tests.faults.world import CORE

OTHER_VERSION = "FAULT_OTHER_VERSION"
"""Environment variable: the commit that is the other version; by default the one before the product last changed."""

LIBFAKETIME = "FAULT_LIBFAKETIME"
"""Environment variable: where libfaketime.so.1 is, if not where Debian puts it."""

JUMP = 60
"""Seconds: less than a run may take, so that no run may end for it."""


def other_version(folder: Path) -> Path:
    """The code of another version, with the fault tests of this one. Raises NotRun."""
    log = ["git", "log", "-n", "2", "--format=%H", "--", "waggle", "shared", "services", "schemas"]
    commits = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    wanted = os.environ.get(OTHER_VERSION) or (commits[1] if len(commits) == 2 else None)
    if wanted is None:
        raise NotRun("this clone has no earlier version of the product")
    archive = folder / "other.tar"
    made = subprocess.run(["git", "archive", "-o", str(archive), wanted], cwd=ROOT, capture_output=True, check=False)
    if made.returncode != 0:
        raise NotRun(f"this clone does not have {wanted}")
    source = folder / "other"
    shutil.unpack_archive(archive, source, filter="data")
    if not (source / "schemas" / "log.py").exists():
        raise NotRun(f"the version before this one, {wanted[:8]}, keeps no logs: it shares no runs with any other")
    shutil.rmtree(source / "tests" / "faults", ignore_errors=True)
    shutil.copytree(ROOT / "tests" / "faults", source / "tests" / "faults")
    return source


@row("rolling upgrade to another version and back during runs")
async def rolling_versions(trial: Trial) -> None:
    world, source = trial.world, other_version(trial.world.folder)
    trial.spoiled = True
    await trial.submit(*slow_runs())
    for code in (source, None):
        for name in (*CORE, "planner", "left"):
            await world.stop_child(name)
            await (world.start_service(name, source=code) if code else world.start_service(name))
            await trial.submit(*slow_runs(1))
            trial.outcome.faults += 1
    await trial.finish()


@row("two versions of each service at the same time", brokers=REAL)
async def two_versions(trial: Trial) -> None:
    world, source = trial.world, other_version(trial.world.folder)
    trial.spoiled = True
    for name in (*CORE, "planner", "left", "right", "writer", "reviewer"):
        await world.start_service(name, replica=".other", source=source)
        trial.outcome.faults += 1
        await trial.submit(*slow_runs(2))
    await trial.finish()


def libfaketime() -> Path:
    """Its folder. Raises NotRun."""
    named = os.environ.get(LIBFAKETIME)
    places = [Path(named)] if named else list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not places or not places[0].exists():
        raise NotRun("libfaketime is not installed (`apt install libfaketime`)")
    return places[0]


@row("clocks of all services jump one minute ahead, then two back, during runs")
async def clock_jumps(trial: Trial) -> None:
    world, library = trial.world, libfaketime()
    trial.spoiled = True
    clock = world.folder / "clock"
    clock.write_text("+0s\n")
    changes = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    for name in (*CORE, "planner", "left", "right", "writer", "reviewer"):
        await world.stop_child(name)
        await world.start_service(name, changes=changes)
    await trial.submit(*slow_runs())
    for offset in (f"+{JUMP}s", f"-{JUMP}s", "+0s"):
        await asyncio.sleep(1)
        clock.write_text(f"{offset}\n")
        trial.outcome.faults += 1
        await trial.submit(*slow_runs(2))
    await trial.finish()
