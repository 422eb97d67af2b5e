"""Profile of a table: columns, types, ranges, the most frequent values."""

from typing import Any

from pydantic import BaseModel

from services.data.names import quoted
from services.data.queries import plain
from services.data.tables import Tables

TOP = 8
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UINTEGER", "UBIGINT", "DECIMAL", "DOUBLE", "FLOAT")


class ValueCount(BaseModel):
    """A value and its frequency in the column."""

    value: Any
    count: int


class ColumnProfile(BaseModel):
    """One column. `mean` is None unless it holds numbers."""

    name: str
    type: str
    nulls: int
    distinct: int
    min: Any
    max: Any
    mean: float | None
    top: list[ValueCount]


class TableProfile(BaseModel):
    """One table."""

    table: str
    rows: int
    columns: list[ColumnProfile]


def profile(tables: Tables, table: str) -> TableProfile:
    """Profile every column. Raises ToolError `unknown_table`."""
    source = tables.check(table)
    cursor = tables.connection.cursor()
    try:
        columns = cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        rows = cursor.execute(f"SELECT count(*) FROM {source}").fetchone()[0]
        return TableProfile(
            table=table, rows=rows, columns=[_column(cursor, source, name, kind) for name, kind, *_ in columns]
        )
    finally:
        cursor.close()


def _column(cursor: Any, source: str, name: str, kind: str) -> ColumnProfile:
    column = quoted(name)
    mean = f"avg({column})" if kind.startswith(_NUMBERS) else "NULL"
    figures = f"count(*) - count({column}), count(DISTINCT {column}), min({column}), max({column}), {mean}"
    nulls, distinct, low, high, average = cursor.execute(f"SELECT {figures} FROM {source}").fetchone()
    top = cursor.execute(
        f"SELECT {column}, count(*) AS n FROM {source} WHERE {column} IS NOT NULL "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {TOP}"
    ).fetchall()
    return ColumnProfile(
        name=name,
        type=kind,
        nulls=nulls,
        distinct=distinct,
        min=plain(low),
        max=plain(high),
        mean=None if average is None else plain(float(average)),
        top=[ValueCount(value=plain(value), count=count) for value, count in top],
    )
