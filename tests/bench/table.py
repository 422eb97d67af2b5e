"""One table for all figures, and its JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is against `baseline`, both from this run; `reached` is None where no target is set."""

    figure: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    target: str = ""
    reached: bool | None = None
    note: str = ""


def against(figure: str, value: float, unit: str, baseline: float, **more: object) -> Row:
    """A figure next to its baseline."""
    return Row(figure, value, unit, baseline, value / baseline if baseline else None, **more)


def show(rows: list[Row]) -> str:
    """The table as Markdown."""
    lines = ["| figure | value | baseline | ratio | target | reached |", "|---|---|---|---|---|---|"]
    for row in rows:
        reached = {True: "yes", False: "**no**", None: ""}[row.reached]
        baseline = "" if row.baseline is None else f"{row.baseline:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"| {row.figure}{note} | {row.value:,.2f} {row.unit} | {baseline} | {ratio} | {row.target} | {reached} |"
        )
    return "\n".join(lines)


def save(rows: list[Row], path: Path) -> None:
    """The rows as JSON."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
