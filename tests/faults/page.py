"""The page docs/reports/faults.md: the table of faults, and the last reported run of the verifier on each broker.

The page is the only store: what is not run keeps what it says.
"""

from tests.faults.broker import ROOT
from tests.faults.table import Row

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

RANDOM = """
## Random faults

`python -m tests.faults.verifier --report` draws plans and a schedule of faults from a seed, runs both on the swarm, and
compares the ledger and the results with a model of what must, may and must not have happened. The last run reported for
each broker:

| broker | minutes | rounds | counted | problems |
|---|---|---|---|---|
"""

NOT_RUN = "| not run yet"

Cells = dict[tuple[str, ...], str]
"""(row, broker), or (broker,) of the verifier → the other cells of the line."""


def read() -> Cells:
    """Return the cells of the page."""
    table, _, random = PAGE.read_text().partition(RANDOM)
    cells: Cells = {(name, kind): " | ".join(rest) for name, _, kind, *rest in _lines(table.removeprefix(OPENING))}
    cells |= {(kind,): " | ".join(rest) for kind, *rest in _lines(random)}
    return {place: text for place, text in cells.items() if not text.endswith(NOT_RUN.strip("| "))}


def write(cells: Cells, rows: list[Row]) -> None:
    """Write the page, with the rows in the order of the table."""
    table = [
        f"| {row.name} | {row.invariant} | {kind} | {cells.get((row.name, kind), NOT_RUN)} |\n"
        for row in rows
        for kind in row.brokers
    ]
    random = [f"| {place[0]} | {text} |\n" for place, text in sorted(cells.items()) if len(place) == 1]
    PAGE.write_text(OPENING + "".join(table) + RANDOM + "".join(random))


def _lines(table: str) -> list[list[str]]:
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in table.strip().splitlines()]
