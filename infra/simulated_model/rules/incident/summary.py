"""Summary of tables: size, types, gaps, ranges, means, frequent values, totals by category or day, a chart."""
# ruff: noqa: S608  # Names and values are quoted by `identifier` and `literal`; the data agent only reads.

from typing import Any

from infra.simulated_model.rules.ask import Asking, ask
from infra.simulated_model.rules.incident.tables import Column, Table, identifier, rows
from schemas.fact import Fact
from schemas.step import Findings


def summarise(tables: list[Table], *, looked: bool) -> Asking[Findings]:
    """Summarise with `describe_table` and one query per table. `looked`: no anomaly was found before."""
    parts, facts, caveats = [], [], []
    for table in tables:
        totals = yield from _totals(table)
        parts.append("\n\n".join(part for part in (_outline(table), totals) if part))
        facts += _facts(table)
        drawn = yield from _chart(table)
        caveats += drawn
    if looked:
        caveats.append("No window was found in which the figures deviate clearly; this is a summary instead.")
    return Findings(
        answer="\n\n".join(parts), facts=facts, sources=[], confidence=0.4 if looked else 0.8, caveats=caveats
    )


def _outline(table: Table) -> str:
    lines = [f"`{table.name}` of {table.source} has {table.rows} rows and {len(table.columns)} columns.", ""]
    lines += ["| column | type | empty | distinct | values |", "|---|---|---|---|---|"]
    lines += [f"| {c.name} | {c.type} | {c.nulls} | {c.distinct} | {_values(c)} |" for c in table.columns]
    return "\n".join(lines)


def _values(column: Column) -> str:
    if column.is_number or column.is_time:
        mean = f", mean {figure(column.mean)}" if column.mean is not None else ""
        return f"{figure(column.low)} to {figure(column.high)}{mean}"
    return ", ".join(f"{value} ({count})" for value, count in column.top[:3])


def figure(value: Any) -> str:
    """Format a number for people: at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _facts(table: Table) -> list[Fact]:
    facts = [
        Fact(name="table", value=table.name),
        Fact(name="file", value=table.source),
        Fact(name="rows", value=table.rows),
    ]
    facts.append(Fact(name="summary", value=f"{table.source} has {table.rows} rows and {len(table.columns)} columns."))
    for column in table.measures[:6]:
        values = {"min": column.low, "max": column.high, "mean": column.mean}
        facts += [Fact(name=f"{column.name}.{n}", value=v) for n, v in values.items() if isinstance(v, int | float)]
    return facts


def _grouped(table: Table) -> tuple[str, str] | None:
    """Return the grouping for totals, a category, else the day: its name and its SQL."""
    if table.dimensions:
        return table.dimensions[0].name, table.dimensions[0].sql
    return (table.time.name, f"CAST({table.time.sql} AS DATE)") if table.time else None


def _totals(table: Table) -> Asking[str]:
    by = _grouped(table)
    if by is None:
        return ""
    sums = "".join(f", round(sum({c.sql}), 4) AS {_alias(c)}" for c in table.measures[:3])
    figures = f"{by[1]} AS grouped, count(*) AS row_count{sums}"
    sql = f"SELECT {figures} FROM {table.sql} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
    found = yield from rows(sql, 10)
    if not found:
        return ""
    names = ["row_count", *(f"total {c.name}" for c in table.measures[:3])]
    head = f"By {by[0]}:\n\n| {' | '.join([by[0], *names])} |\n|{'---|' * (len(names) + 1)}"
    return "\n".join([head, *("| " + " | ".join(figure(value) for value in row.values()) + " |" for row in found)])


def _alias(column: Column) -> str:
    return '"total ' + column.name.replace('"', '""') + '"'


def _chart(table: Table) -> Asking[list[str]]:
    by = (table.time.name, f"CAST({table.time.sql} AS DATE)") if table.time else _grouped(table)
    if by is None:
        return []
    measure = f"avg({table.measures[0].sql})" if table.measures else "count(*)"
    shown = f"mean {table.measures[0].name}" if table.measures else "rows"
    title = f"{shown} by {by[0]}"[:120]
    sql = (
        f"SELECT {by[1]} AS grouped, {measure} AS {identifier(shown)} FROM {table.sql} GROUP BY 1 ORDER BY 1 LIMIT 200"
    )
    kind = "line" if table.time else "bar"
    told = yield from ask("draw_chart", sql=sql, kind=kind, x="grouped", y=[shown], title=title, name="summary.png")
    missing = told.done or (told.error or {}).get("code") == "not_available"
    return [] if missing else [f"The chart could not be drawn: {told.problem}"]
