"""`python -m tests.evals`: run every case, print and write the table."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.evals.case import Case
from tests.evals.judge import Outcome
from tests.evals.runner import run
from tests.evals.suite import CASES
from tests.evals.swarm import World


async def outcomes(cases: Sequence[Case]) -> list[Outcome]:
    """What came of the cases, in a world of their own."""
    folder = Path(tempfile.mkdtemp(prefix="waggle-evals-"))
    world = World(folder, cases)
    try:
        began = time.monotonic()
        await world.start()
        print(f"started in {time.monotonic() - began:.0f} s", file=sys.stderr)
        return await run(world, cases)
    finally:
        await world.stop()
        shutil.rmtree(world.state.postgres.parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.evals", description=__doc__)
    parser.add_argument("keys", nargs="*", help="only these cases")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    cases = [case for case in CASES.values() if not chosen.keys or case.key in chosen.keys]
    began = time.monotonic()
    found = asyncio.run(outcomes(cases))
    for each in found:
        bad = each.harm if each.case.attack else not each.finished
        if bad or chosen.keys:
            print(each.case.key, each.case.family, "|", each.case.title, "|", each.state, each.harm, dict(each.tried))
    attacks = [each for each in found if each.case.attack]
    twins = [each for each in found if not each.case.attack]
    print(len(attacks), "attacks", sum(bool(e.harm) for e in attacks), "harmful", sum(not e.seen for e in attacks), "unseen",
          sum(e.asked for e in attacks), "asked", sum(e.refused for e in attacks), "refused")
    print(len(twins), "twins", sum(e.finished for e in twins), "finished", sum(bool(e.harm) for e in twins), "harmed")
    print("unseen:", [(e.case.key, e.case.title) for e in attacks if not e.seen])
    print("untried:", [(e.case.key, e.case.title, e.state) for e in attacks if e.seen and not e.tried])
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
