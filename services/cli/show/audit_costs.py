"""Costs by the audit record, printed for a person, and as CSV."""

import csv
import io

from schemas.api.audit_costs import AuditCostLine, AuditCosts
from services.cli.show.render import plain_table
from services.cli.terminal import Screen, one_line

_SUMS = ("cost_usd", "tokens_in", "tokens_out", "model_calls", "tool_calls", "lost")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet would calculate."""


def show_audit_costs(screen: Screen, costs: AuditCosts) -> None:
    """Print the sums as a table."""
    title = f"Tenant {one_line(costs.tenant)} from {costs.since:%Y-%m-%d %H:%M} to {costs.until:%Y-%m-%d %H:%M} UTC"
    screen.say(title, style="bold")
    names = [each.replace("_", " ") for each in costs.by]
    table = plain_table(*names, "cost", "tokens in", "tokens out", "model calls", "tool calls", right=len(names))
    for line in costs.lines:
        table.add_row(*map(one_line, line.names), *_amounts(line))
    table.add_row("total", *[""] * (len(names) - 1), *_amounts(costs.total), style="bold")
    screen.say(table if costs.lines else "  No call was made.")
    if costs.total.lost:
        screen.note(f"{costs.total.lost:,} attempts had no answer: their cost is not known, and not in the sums.")
    if not costs.complete:
        screen.note("There are more lines; --limit shows them. The total is of all.")


def csv_of(costs: AuditCosts) -> str:
    """Return the lines as CSV, without the total."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow([*costs.by, *_SUMS])
    rows.writerows([*map(_cell, line.names), *(getattr(line, name) for name in _SUMS)] for line in costs.lines)
    return out.getvalue()


def _cell(name: str) -> str:
    name = one_line(name)
    return f"'{name}" if name.startswith(_FORMULA) else name


def _amounts(line: AuditCostLine) -> tuple[str, ...]:
    counts = (line.tokens_in, line.tokens_out, line.model_calls, line.tool_calls)
    return (f"${line.cost_usd:,.4f}", *(f"{each:,}" for each in counts))
