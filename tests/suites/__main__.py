"""`python -m tests.suites`: run the bundled suites on a stack of their own; exit with 1 for a low rate or a drop."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from services.cli.evaluation.results import find
from shared.evaluation import Comparison, SuiteRun, compare
from tests.suites import page
from tests.suites.stack import OBEYED, SHORTER, SuiteStack

LEAST = "0.95"
REPEAT = "2"
SUITES = Path(__file__).parents[2] / "infra" / "suites"
DAILY = SUITES / "daily-work.yaml"
RESULTS = Path(".waggle") / "evals"
BASELINE = "WAGGLE_EVALS_BASELINE"
"""Environment variable: results of an earlier run of `daily-work`."""

NOISY = {"name": "noise", "when": {"agent": "planner"}, "chance": 0.2, "fault": {"drop_step": True}}
"""Scenario: one plan of five lacks a step."""


async def waggle(*arguments: str | Path, **environment: str) -> int:
    """Run `waggle eval`, and return its exit code."""
    command = [sys.executable, "-m", "services.cli", "eval", *map(str, arguments), "--results", str(RESULTS)]
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    return await process.wait()


async def run(stack: SuiteStack, suite: Path, id: str, *more: str) -> int:
    """Run a suite on a stack, and return the exit code."""
    return await waggle("run", suite, "--parallel", "4", "--id", id, *more, **stack.endpoints)


def recorded(id: str, suite: Path = DAILY) -> SuiteRun:
    """Return the results of a run."""
    return find(RESULTS, str(RESULTS / suite.stem / f"{id}.json"))


async def gate(stack: SuiteStack, id: str, baseline: str | None) -> int:
    """Run every suite, and compare with the baseline if there is one. Return the exit code of the build."""
    options = ["--repeat", REPEAT, "--least", LEAST]
    codes = [await run(stack, suite, id, *options) for suite in sorted(SUITES.glob("*.yaml"))]
    if baseline:
        codes.append(await waggle("compare", baseline, RESULTS / "daily-work" / f"{id}.json", "--fail-on-drop"))
    return max(codes)


async def planted(stack: SuiteStack, id: str) -> tuple[int, Comparison]:
    """Guard two builds: one as it is, and one whose planner is asked to leave out a step. Return what is found."""
    before, after = f"{id}-before", f"{id}-after"
    if code := await run(stack, DAILY, before, "--repeat", REPEAT):
        sys.exit(code)
    await stack.plant(SHORTER)
    code = await gate(stack, after, str(RESULTS / "daily-work" / f"{before}.json"))
    return code, compare(recorded(before), recorded(after))


async def noisy(folder: Path, id: str) -> SuiteRun:
    """Return 10 trials of each case, with a model that leaves a step out of one plan of five."""
    async with SuiteStack(folder, NOISY) as stack:
        await run(stack, DAILY, id, "--repeat", "10")
    return recorded(id)


async def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.suites", description=__doc__)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--planted", action="store_true", help="show that the gate fails a build whose planner drops a step"
    )
    chosen.add_argument("--report", action="store_true", help="also measure false alarms; write docs/reports/suites.md")
    given, id = parser.parse_args(), f"gate-{int(time.time())}"
    with tempfile.TemporaryDirectory(prefix="waggle-suites-") as folder:
        async with SuiteStack(Path(folder), OBEYED) as stack:
            if given.planted:
                return (await planted(stack, id))[0]
            code = await gate(stack, id, os.environ.get(BASELINE))
            if not given.report:
                return code
            began = time.monotonic()
            failing, found = await planted(stack, id)
            seconds = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="waggle-suites-") as folder:
        noise = await noisy(Path(folder), f"{id}-noise")
    runs = [recorded(id, suite) for suite in sorted(SUITES.glob("*.yaml"))]
    page.write(runs, found, seconds, noise)
    return code or (failing != 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
