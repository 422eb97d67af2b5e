"""Queries that narrow an incident down: window, dimension, exact times and detail."""
# ruff: noqa: S608  # Names and values are quoted by `identifier` and `literal`; the data agent only reads.

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from infra.simulated_model.rules.ask import Asking
from infra.simulated_model.rules.incident.outcome import Outcome
from infra.simulated_model.rules.incident.tables import Column, Table, literal, rows

CLEARLY = 4.5
"""Standard deviations above which a window counts as deviating."""
MOST_DIMENSIONS = 12
"""Maximum dimensions compared, because the length of a query is limited."""
STEPS = (10, 60, 300, 900, 3600, 14_400, 86_400, 604_800)
"""Lengths of a slot, in seconds."""


@dataclass(frozen=True, slots=True)
class Search:
    """A table, its measured column, and the progress of the search."""

    table: Table
    time: Column
    outcome: Outcome
    step: int
    first: int = 0
    last: int = 0
    """First and last slot of `step` seconds since 1970 in the window."""
    dimension: Column | None = None
    value: str = ""
    inside: float = 0.0
    outside: float = 0.0
    detail: Column | None = None
    code: str = ""
    start: str = ""
    end: str = ""

    @property
    def at(self) -> str:
        """SQL: the row's time."""
        return f"CAST({self.time.sql} AS TIMESTAMP)"

    @property
    def who(self) -> str:
        """SQL: the row has the dimension's value."""
        return f"CAST({self.dimension.sql} AS VARCHAR) = {literal(self.value)}" if self.dimension else "TRUE"

    @property
    def what(self) -> str:
        """SQL: the row failed, with the detail found."""
        detail = f" AND CAST({self.detail.sql} AS VARCHAR) = {literal(self.code)}" if self.detail and self.code else ""
        return self.outcome.bad + detail

    @property
    def when(self) -> str:
        """SQL: the row is in the window, both ends included."""
        return f"{self.at} BETWEEN TIMESTAMP {literal(self.start)} AND TIMESTAMP {literal(self.end)}"

    def slot(self, step: int) -> str:
        """SQL: the number of the slot the row lies in."""
        return f"CAST(floor(epoch({self.at}) / {step}) AS BIGINT)"


def begun(table: Table, outcome: Outcome) -> Search | None:
    """Create a search with slots of about ten rows or more, at most some hundreds of them."""
    if table.time is None:
        return None
    span = (_moment(table.time.high) - _moment(table.time.low)).total_seconds()
    fit = [step for step in STEPS if span / step <= 800 and table.rows * step >= 10 * span]
    return Search(table, table.time, outcome, (fit or STEPS[-1:])[0]) if span > 0 else None


def window(search: Search) -> Asking[Search | None]:
    """Return the slots that deviate most, neighbours joined; None if nothing deviates clearly."""
    spread = (
        "sqrt(n) / nullif((SELECT stddev_pop(m) FROM r), 0)"
        if search.outcome.is_rate
        else "1 / nullif(1.4826 * mad, 0)"
    )
    high = "score" if search.outcome.is_rate else "abs(score)"
    centre = "(SELECT avg(m) FROM r)" if search.outcome.is_rate else "mid"
    found = yield from rows(
        f"WITH r AS (SELECT {search.slot(search.step)} AS slot, {search.outcome.measure} AS m FROM {search.table.sql} "
        f"WHERE {search.time.sql} IS NOT NULL), s AS (SELECT slot, count(m) AS n, avg(m) AS v FROM r GROUP BY 1), "
        f"c AS (SELECT median(v) AS mid, mad(v) AS mad FROM s), "
        f"z AS (SELECT slot, n, v, (v - {centre}) * {spread} AS score FROM s, c) "
        f"SELECT slot, n, v, score FROM z WHERE {high} > {CLEARLY} ORDER BY slot",
        200,
    )
    groups = _joined([(int(row["slot"]), abs(float(row["score"]))) for row in found])
    if not groups:
        return None
    best = max(groups, key=lambda group: sum(score for _, score in group))
    return replace(search, first=best[0][0], last=best[-1][0])


def culprit(search: Search) -> Asking[Search]:
    """Return the dimension value whose rows account for the deviation; none if all are affected alike."""
    inside = f"{search.slot(search.step)} BETWEEN {search.first} AND {search.last}"
    figures = (
        f"count(*) FILTER ({inside}) AS n, avg({search.outcome.measure}) FILTER ({inside}) AS v_in, "
        f"avg({search.outcome.measure}) FILTER (NOT {inside}) AS v_out"
    )
    dimensions = [c for c in search.table.dimensions if c.name != search.outcome.column.name][:MOST_DIMENSIONS]
    parts = [
        f"SELECT {literal(c.name)} AS dimension, CAST({c.sql} AS VARCHAR) AS value, {figures} "
        f"FROM {search.table.sql} GROUP BY 2"
        for c in dimensions
    ]
    whole = f"SELECT '' AS dimension, '' AS value, {figures} FROM {search.table.sql}"
    found = yield from rows(" UNION ALL ".join([whole, *parts]), 500)
    return _suspect(search, dimensions, [row for row in found if row["v_in"] is not None])


def _suspect(search: Search, dimensions: list[Column], found: list[dict[str, Any]]) -> Search:
    all_rows = next(row for row in found if row["dimension"] == "")
    search = replace(search, inside=float(all_rows["v_in"]), outside=float(all_rows["v_out"] or 0))
    known = [row for row in found if row["dimension"] and row["v_out"] is not None and row["value"] is not None]
    best = max(known, key=lambda row: abs(row["v_in"] - row["v_out"]) * row["n"] ** 0.5, default=None)
    if best is None:
        return search
    others = [row for row in known if row["dimension"] == best["dimension"] and row is not best]
    count = sum(row["n"] for row in others)
    rest = sum((row["v_in"] - row["v_out"]) * row["n"] for row in others) / count if count else 0.0
    if abs(rest) > 0.5 * abs(best["v_in"] - best["v_out"]):
        return search
    column = next(c for c in dimensions if c.name == best["dimension"])
    return replace(
        search, dimension=column, value=str(best["value"]), inside=float(best["v_in"]), outside=float(best["v_out"])
    )


def edges(search: Search) -> Asking[Search]:
    """Return the exact first and last moment: the stretch of fine slots furthest above the middle of in and out."""
    fine = max(1, search.step * (search.last - search.first + 5) // 150)
    middle, sign = (search.inside + search.outside) / 2, 1 if search.inside >= search.outside else -1
    near = f"{search.slot(search.step)} BETWEEN {search.first - 2} AND {search.last + 2} AND {search.who}"
    found = yield from rows(
        f"SELECT {search.slot(fine)} AS slot, {sign} * sum({search.outcome.measure} - {middle!r}) AS excess, "
        f"CAST(min({search.at}) FILTER ({search.outcome.bad}) AS VARCHAR) AS first_at, "
        f"CAST(max({search.at}) FILTER ({search.outcome.bad}) AS VARCHAR) AS last_at "
        f"FROM {search.table.sql} WHERE {near} GROUP BY 1 ORDER BY 1",
        200,
    )
    stretch = _highest([float(row["excess"] or 0) for row in found])
    times = [row[name] for row in found[stretch] for name in ("first_at", "last_at") if row[name]]
    return replace(search, start=min(times), end=max(times)) if times else search


def detail(search: Search) -> Asking[Search]:
    """Return the most frequent error code or message inside, and the window it spans."""
    column = next((c for c in search.table.columns if c.is_detail and c.name != search.outcome.column.name), None)
    if column is None or not search.outcome.is_rate:
        return search
    found = yield from rows(
        f"SELECT CAST({column.sql} AS VARCHAR) AS code, count(*) AS n, CAST(min({search.at}) AS VARCHAR) AS first_at, "
        f"CAST(max({search.at}) AS VARCHAR) AS last_at FROM {search.table.sql} WHERE {search.when} AND {search.who} "
        f"AND {search.outcome.bad} AND {column.sql} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
        5,
    )
    if not found:
        return search
    top = found[0]
    return replace(search, detail=column, code=str(top["code"]), start=str(top["first_at"]), end=str(top["last_at"]))


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=None)


def _joined(scored: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Group consecutive slots, allowing a gap of one slot."""
    groups: list[list[tuple[int, float]]] = []
    for slot, score in scored:
        if groups and slot - groups[-1][-1][0] <= 2:
            groups[-1].append((slot, score))
        else:
            groups.append([(slot, score)])
    return groups


def _highest(values: list[float]) -> slice:
    """Return the stretch with the highest sum."""
    best, total, start, found = 0.0, 0.0, 0, slice(0, len(values))
    for index, value in enumerate(values):
        if total <= 0:
            total, start = 0.0, index
        total += value
        if total > best:
            best, found = total, slice(start, index + 1)
    return found
