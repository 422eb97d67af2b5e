"""Tables for the data rules: columns, classified by their use."""

import re
from dataclasses import dataclass
from typing import Any

from infra.simulated_model.rules.ask import Asking, ask
from infra.simulated_model.rules.words import words
from infra.simulated_model.situation import Brief, ToolReply

FAILED = frozenset(
    """
    failed failure fail error errored declined cancelled canceled timeout timed_out rejected refused lost
    aborted ko crash crashed denied expired returned down critical fault
    """.split()  # noqa: SIM905  # A list of words reads as a text.
)
BAD_IF_TRUE = re.compile(r"fail|error|fraud|cancel|declin|timeout|crash|late|defect|churn", re.IGNORECASE)
BAD_IF_FALSE = re.compile(r"^ok$|success|succeed|passed|healthy|delivered", re.IGNORECASE)
DETAIL = re.compile(r"error|reason|message|cause|fault|exception|code", re.IGNORECASE)
ID = re.compile(r"(^|_)(id|uuid|guid|key)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """One column, from `describe_table`."""

    name: str
    type: str
    nulls: int
    distinct: int
    low: Any
    high: Any
    mean: Any
    top: list[tuple[Any, int]]

    @property
    def sql(self) -> str:
        """Return the name as an SQL identifier."""
        return identifier(self.name)

    @property
    def is_time(self) -> bool:
        """True if it holds dates or times."""
        return self.type.upper().startswith(("TIMESTAMP", "DATE"))

    @property
    def is_number(self) -> bool:
        """True if it holds numbers that may be averaged."""
        kinds = (
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "HUGEINT",
            "UINT",
            "UBIGINT",
            "FLOAT",
            "DOUBLE",
            "REAL",
            "DECIMAL",
        )
        return self.type.upper().startswith(kinds)

    @property
    def is_measure(self) -> bool:
        """A number that is not an identifier."""
        return self.is_number and not ID.search(self.name)

    @property
    def is_detail(self) -> bool:
        """Names the kind of failure of a row, and is mostly empty otherwise."""
        return bool(DETAIL.search(self.name)) and (self.nulls > 0 or not self.is_number)

    def is_dimension(self, rows: int) -> bool:
        """True for few values that repeat."""
        kind = self.type.upper()
        few = 2 <= self.distinct <= max(2, min(60, rows // 3))
        return few and (kind.startswith(("VARCHAR", "BOOL", "ENUM"))) and not self.is_detail


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its source file or database, and its columns."""

    name: str
    source: str
    rows: int
    columns: list[Column]

    @property
    def sql(self) -> str:
        """Return the name as an SQL identifier."""
        return identifier(self.name)

    @property
    def time(self) -> Column | None:
        """Column of a row's time."""
        return next((column for column in self.columns if column.is_time and column.distinct > 1), None)

    @property
    def dimensions(self) -> list[Column]:
        """Columns for grouping rows."""
        return [column for column in self.columns if column.is_dimension(self.rows)]

    @property
    def measures(self) -> list[Column]:
        """Columns that can be summed and averaged."""
        return [column for column in self.columns if column.is_measure]


def identifier(name: str) -> str:
    """Quote for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return a text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def chosen(told: ToolReply, brief: Brief) -> list[tuple[str, str]]:
    """Return names and sources of the tables the objective names, else of the first ones."""
    listed = told.data if isinstance(told.data, list) else []
    pairs = [(str(entry["table"]), str(entry.get("source", ""))) for entry in listed]
    spoken = set(words(brief.objective))
    named = [(table, source) for table, source in pairs if {table.lower(), source.lower()} & spoken]
    return (named or pairs)[:3]


def described(told: ToolReply, source: str) -> Table:
    """Parse the result of `describe_table`."""
    columns = [_column(column) for column in told.get("columns", [])]
    return Table(str(told.get("table")), source, int(told.get("rows", 0)), columns)


def rows(sql: str, limit: int = 100) -> Asking[list[dict[str, Any]]]:
    """Return the rows of a query as mappings; none if it failed."""
    told = yield from ask("query", sql=sql, limit=limit)
    names = told.get("columns", [])
    return [dict(zip(names, row, strict=True)) for row in told.get("rows", [])]


def _column(raw: dict[str, Any]) -> Column:
    top = raw.get("top") or []
    return Column(
        name=str(raw.get("name")),
        type=str(raw.get("type", "VARCHAR")),
        nulls=int(raw.get("nulls") or 0),
        distinct=int(raw.get("distinct") or 0),
        low=raw.get("min"),
        high=raw.get("max"),
        mean=raw.get("mean"),
        top=[(entry.get("value"), int(entry.get("count", 0))) for entry in top if isinstance(entry, dict)],
    )
