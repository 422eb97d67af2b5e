"""`python -m tests.faults`: run the table and write docs/reports/faults.md from what was counted."""

import argparse
import asyncio
import json
import time
import traceback
from typing import Any

from tests.faults.broker import ROOT
from tests.faults.rows import ROWS
from tests.faults.runner import Runner
from tests.faults.table import BOTH, NotRun, Row

RESULTS = ROOT / ".waggle" / "faults"
PAGE = ROOT / "docs" / "reports" / "faults.md"
OPENING = """\
# Faults

Faults injected into the running swarm (real processes, Kafka and Redis; agents without a model), and the observed
results. A ledger outside the swarm counts every tool effect, repeats included. `make faults` runs the table and writes
this page; `tests/faults` defines each fault. Two brokers: *embedded*, the one that ships in a wheel, and *real*, Apache
Kafka. A row keeps the counts of its last run.

A row holds if each task got exactly one result, the one its plan leads to; no compensable or irreversible call was made
twice and no idempotent call under a second key; and nothing ran out of order or needlessly. If a call may or may not
have happened, a person is asked and looks into the ledger; those runs are counted.

| fault | invariant | broker | counted | holds |
|---|---|---|---|---|
"""


async def run(kind: str, rows: list[Row], results: dict[str, Any]) -> None:
    """Add what each row counted on that broker, and keep it at once."""
    runner = Runner(kind)
    await runner.start()
    try:
        for row in (row for row in rows if kind in row.brokers):
            began = time.monotonic()
            found = results[row.name] = await _one(runner, row)
            (RESULTS / f"{kind}.json").write_text(json.dumps(results, indent=1))
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


def page(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The document."""
    lines = [
        f"| {row.name} | {row.invariant} | {kind} | {_counted(row, kind, results.get(kind, {}))} |\n"
        for row in ROWS
        for kind in row.brokers
    ]
    return OPENING + "".join(lines)


def _counted(row: Row, kind: str, results: dict[str, dict[str, Any]]) -> str:
    result = results.get(row.name)
    if result is None:
        return "| not run yet"
    if "not_run" in result:
        return f"{result['not_run']} | not run"
    if result["problems"]:
        why = row.breaks.get(kind) or "; ".join(result["problems"][:2])
        return f"{result['counted']} | **no**: {' '.join(why.split())}"
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
    RESULTS.mkdir(parents=True, exist_ok=True)
    results = {}
    for kind in BOTH:
        kept = RESULTS / f"{kind}.json"
        results[kind] = json.loads(kept.read_text()) if kept.exists() else {}
        if kind in chosen.kafka:
            asyncio.run(run(kind, rows, results[kind]))
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
