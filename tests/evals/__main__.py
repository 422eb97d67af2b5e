"""`python -m tests.evals`: run every case, print what was found and write it into docs/reports/evals.md."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.evals.case import Case
from tests.evals.findings import fate, lines
from tests.evals.judge import Outcome
from tests.evals.page import put
from tests.evals.runner import run
from tests.evals.suite import CASES
from tests.evals.swarm import World


async def outcomes(cases: Sequence[Case]) -> list[Outcome]:
    """Outcomes of the cases, each run in a world of their own."""
    with tempfile.TemporaryDirectory(prefix="waggle-evals-") as folder:
        async with World(Path(folder), cases) as world:
            return await run(world, cases)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.evals", description=__doc__)
    parser.add_argument("keys", nargs="*", help="only these cases, told in full; nothing is written")
    chosen = parser.parse_args()
    began = time.monotonic()
    found = asyncio.run(outcomes([case for case in CASES.values() if not chosen.keys or case.key in chosen.keys]))
    told = lines(found, time.monotonic() - began)
    print("\n".join(told))
    if not chosen.keys:
        put("cases", told)
        return
    for each in found:
        print(f"\n{each.case.key} {each.case.family}: {each.case.title}: {fate(each)}, {each.state}: {each.why}")
        print("\n".join([*each.harm, *(f"  {call} → {answer}" for call, answer in each.tried.items())]))


if __name__ == "__main__":
    main()
