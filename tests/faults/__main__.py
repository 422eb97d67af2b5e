"""`python -m tests.faults`: run the table and write docs/reports/faults.md from what was counted."""

import argparse
import asyncio
import time
import traceback
from typing import Any

from tests.faults import page
from tests.faults.rows import ROWS
from tests.faults.runner import Runner
from tests.faults.table import BOTH, NotRun, Row


async def run(kind: str, rows: list[Row], cells: page.Cells) -> None:
    """Fill the cells of each row on that broker, and write the page after each."""
    runner = Runner(kind)
    await runner.start()
    try:
        for row in (row for row in rows if kind in row.brokers):
            began = time.monotonic()
            found = await _one(runner, row)
            cells[row.name, kind] = _counted(row, kind, found)
            page.write(cells, ROWS)
            print(f"{kind}  {time.monotonic() - began:5.1f} s  {row.name}: {_line(found)}", flush=True)
    finally:
        await runner.stop()


def _line(found: dict[str, Any]) -> str:
    if "not_run" in found:
        return f"not run: {found['not_run']}"
    return "; ".join([found["counted"], *(f"NOT HELD: {each}" for each in found["problems"][:4])])


async def _one(runner: Runner, row: Row) -> dict[str, Any]:
    try:
        outcome = await runner.run(row)
    except NotRun as why:
        return {"not_run": str(why)}
    except Exception:  # noqa: BLE001 -- a row that cannot be run is a row that does not hold
        return {"counted": "", "problems": [traceback.format_exc()[-1_500:]]}
    return {"counted": outcome.counted, "problems": outcome.problems}


def _counted(row: Row, kind: str, result: dict[str, Any]) -> str:
    if "not_run" in result:
        return f"{result['not_run']} | not run"
    if result["problems"]:
        why = row.breaks.get(kind) or "; ".join(result["problems"][:2])
        return f"{result['counted']} | **no**: {' '.join(why.split()).replace('|', '/')}"
    return f"{result['counted']} | yes"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--kafka", choices=BOTH, nargs="*", default=list(BOTH), help="which brokers; default: both")
    parser.add_argument("--only", default="", help="rows whose name contains this, or one of several between |")
    parser.add_argument("--quick", action="store_true", help="only what CI runs on every change")
    chosen = parser.parse_args()
    rows = [
        row
        for row in ROWS
        if any(part in row.name for part in chosen.only.split("|")) and (row.quick or not chosen.quick)
    ]
    cells = page.read()
    for kind in chosen.kafka:
        asyncio.run(run(kind, rows, cells))


if __name__ == "__main__":
    main()
