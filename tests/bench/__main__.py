"""`python -m tests.bench`: every figure in one run on one broker, in one table, with its target."""

import argparse
import asyncio
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench import backtest, gate, hop, lists, load, runs, start, stored
from tests.bench.stage import Stage, stage
from tests.bench.table import Row, save, show

Measure = Callable[[Stage], Awaitable[list[Row]]]


def figures(scale: float) -> dict[str, Measure]:
    """Every measurement by name; `scale` shortens them."""
    return {
        "start": lambda at: start.starts(at, max(1, int(5 * scale))),
        "throughput": lambda at: hop.throughput(at, int(4_000 * scale)),
        "latency": lambda at: hop.latency(at, int(300 * scale)),
        "runs": lambda at: runs.speed(at, scale),
        "replicas": lambda at: runs.replicas(at, scale),
        "recovery": lambda at: runs.recovery(at, max(3, int(10 * scale))),
        "steps-2000": lambda at: load.steps(at, int(2_000 * scale)),
        "steps-5000": lambda at: load.steps(at, int(5_000 * scale)),
        "neighbours": lambda at: load.neighbours(at, int(1_000 * scale)),
        "lists": lambda at: lists.lists(at, int(100_000 * scale), int(1_000 * scale), max(20, int(100 * scale))),
        "gate": gate.verdicts,
        "backtest": lambda at: backtest.measured(at, int(4_000 * scale)),
        "bytes": lambda at: stored.stored(at, (1, 50, 200, 400)),
    }


async def measure(kind: str, names: list[str], scale: float) -> list[Row]:
    """The rows of one broker. A figure that cannot be had is said so, and the others are."""
    rows: list[Row] = []
    async with stage(kind) as at:
        for name, play in figures(scale).items():
            if names and name not in names:
                continue
            print(f"{kind}: {name} …", file=sys.stderr, flush=True)
            try:
                rows += await play(at)
            except Exception as failure:  # noqa: BLE001 -- said in the table
                traceback.print_exc()
                await at.clear()
                rows.append(Row(f"{name}: failed with {_last_line(failure)}", 0, "", reached=False))
    return rows


def _last_line(failure: Exception) -> str:
    """Of what it says: what comes before, a log's end with paths, is shown where it happens and not in the table."""
    return (str(failure).strip(" \n)'\"").splitlines() or [type(failure).__name__])[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--kafka", choices=["embedded", "real", "both"], default="both")
    parser.add_argument("--only", nargs="*", default=[], help=f"of {', '.join(figures(1))}")
    parser.add_argument("--scale", type=float, default=1.0, help="0.2 is quick and rough")
    parser.add_argument("--json", type=Path, default=Path(".waggle/bench.json"))
    parser.add_argument("--write-docs", action="store_true", help="write the table to docs/reports/bench.md")
    chosen = parser.parse_args()
    logging.disable(logging.ERROR)
    tables = []
    everything: list[Row] = []
    for kind in ("embedded", "real") if chosen.kafka == "both" else (chosen.kafka,):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as services run
            rows = runner.run(measure(kind, chosen.only, chosen.scale))
        everything += rows
        tables.append(f"### On {'the embedded broker' if kind == 'embedded' else 'Apache Kafka'}\n\n{show(rows)}\n")
        print(tables[-1], flush=True)
    chosen.json.parent.mkdir(exist_ok=True)
    save(everything, chosen.json)
    if chosen.write_docs:
        page = Path("docs/reports/bench.md")
        page.write_text(page.read_text().partition("## Last measured")[0] + "## Last measured\n\n" + "\n".join(tables))


if __name__ == "__main__":
    main()
