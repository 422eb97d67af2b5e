"""Detection of an incident in a table, and its report in numbers that a program can check."""
# ruff: noqa: S608  # Names and values are quoted by `identifier` and `literal`; the data agent only reads.

from typing import Any

from infra.simulated_model.rules.ask import Asking, ask
from infra.simulated_model.rules.incident.outcome import outcome_of
from infra.simulated_model.rules.incident.search import Search, begun, culprit, detail, edges, window
from infra.simulated_model.rules.incident.tables import Table, identifier, rows
from schemas.fact import Fact
from schemas.step import Findings

CHART = "incident.png"


def find_incident(table: Table) -> Asking[Findings | None]:
    """Return None if there is no time column, or nothing deviates."""
    outcome = outcome_of(table)
    search = begun(table, outcome) if outcome else None
    found = (yield from window(search)) if search else None
    if found is None:
        return None
    found = yield from culprit(found)
    found = yield from edges(found)
    found = yield from detail(found)
    if not found.start:
        return None
    figures = yield from _figures(found)
    drawn = yield from _chart(found)
    return _findings(found, figures, drawn) if figures else None


def _figures(s: Search) -> Asking[dict[str, Any]]:
    m, inside = s.outcome.measure, f"{s.when} AND {s.who}"
    found = yield from rows(
        f"SELECT count(*) AS total_rows, count(*) FILTER ({inside}) AS rows_in_window, "
        f"count(*) FILTER ({inside} AND {s.what}) AS affected_rows, avg({m}) FILTER ({inside}) AS inside, "
        f"avg({m}) FILTER (NOT ({s.when}) AND {s.who}) AS outside, "
        f"avg({m}) FILTER ({s.when} AND NOT ({s.who})) AS others FROM {s.table.sql}",
        1,
    )
    return found[0] if found else {}


def _chart(s: Search) -> Asking[str]:
    unit = "hour" if s.step <= 3600 else "day"
    value = f"round(100.0 * avg({s.outcome.measure}), 3)" if s.outcome.is_rate else f"avg({s.outcome.measure})"
    shown = f"{s.outcome.column.name} {'failed, %' if s.outcome.is_rate else '(mean)'}"
    sql = (
        f"SELECT date_trunc('{unit}', {s.at}) AS {unit}, {value} AS {identifier(shown)} FROM {s.table.sql} "
        f"WHERE {s.who} AND {s.time.sql} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    title = f"{shown} per {unit}" + (f", {s.dimension.name} {s.value}" if s.dimension else "")
    told = yield from ask("draw_chart", sql=sql, kind="line", x=unit, y=[shown], title=title[:120], name=CHART)
    return "" if told.done else f"The chart could not be drawn: {told.problem}"


def _findings(s: Search, figures: dict[str, Any], undrawn: str) -> Findings:
    return Findings(
        answer=_answer(s, figures, undrawn),
        facts=_facts(s, figures),
        sources=[],
        confidence=0.9 if s.dimension and s.code else 0.7,
        caveats=[*([undrawn] if undrawn else []), *([] if s.dimension else ["No single dimension explains it."])],
    )


def _summary(s: Search, figures: dict[str, Any]) -> str:
    whose = f" of {s.dimension.name} {s.value}" if s.dimension else ""
    if not s.outcome.is_rate:
        told = f"{s.outcome.words(figures['inside'])} on average, otherwise {s.outcome.words(figures['outside'] or 0)}"
        return f"From {s.start} to {s.end} the {s.outcome.column.name}{whose} was {told}."
    code = f" with {s.detail.name} {s.code}" if s.detail else ""
    return f"From {s.start} to {s.end}, {figures['affected_rows']} rows{whose} failed{code}."


def _answer(s: Search, figures: dict[str, Any], undrawn: str) -> str:
    words = s.outcome.words
    whose = f"{s.dimension.name} = {s.value}" if s.dimension else "all rows"
    kind = "Failure rate" if s.outcome.is_rate else f"Mean of {s.outcome.column.name}"
    lines = [
        _summary(s, figures),
        "",
        f"- Table: `{s.table.name}` of {s.table.source}, {figures['total_rows']} rows",
        f"- Columns: time from `{s.time.name}`, outcome from `{s.outcome.column.name}`",
        f"- Window: {s.start} to {s.end}",
        f"- Concerned: {whose}",
        f"- Rows: {figures['rows_in_window']} in the window, {figures['affected_rows']} of them affected",
        f"- {kind}: {words(figures['inside'])} inside, {words(figures['outside'] or 0)} at other times",
    ]
    if s.dimension and figures["others"] is not None:
        lines.append(f"- The rest in the same window: {words(figures['others'])}")
    if s.detail:
        lines.append(f"- Most frequent {s.detail.name} inside: `{s.code}`")
    return "\n".join([*lines, *([] if undrawn else [f"- Chart: `{CHART}`"])])


def _facts(s: Search, figures: dict[str, Any]) -> list[Fact]:
    values: dict[str, Any] = {
        "summary": _summary(s, figures),
        "table": s.table.name,
        "file": s.table.source,
        "time_column": s.time.name,
        "window_start": s.start,
        "window_end": s.end,
        "outcome_column": s.outcome.column.name,
        "failed_values": "|".join(s.outcome.failed) or None,
        "failed_from": s.outcome.least,
        "dimension": s.dimension.name if s.dimension else None,
        "dimension_value": s.value if s.dimension else None,
        "detail_column": s.detail.name if s.detail else None,
        "error_code": s.code or None,
        "total_rows": figures["total_rows"],
        "rows_in_window": figures["rows_in_window"],
        "affected_rows": figures["affected_rows"],
        "value_inside": round(figures["inside"], 6),
        "value_outside": round(figures["outside"] or 0, 6),
    }
    return [Fact(name=name, value=value) for name, value in values.items() if value is not None]
