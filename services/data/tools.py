"""Tools of the data agent: list, describe and query tables, draw charts."""

import asyncio
from typing import Annotated, Any

from pydantic import BaseModel, Field

from services.data.charts import ChartKind, draw
from services.data.names import quoted
from services.data.profile import TableProfile, profile
from services.data.queries import select
from services.data.settings import DataSettings
from services.data.tables import tables_of
from shared.tools import WITHOUT_IT
from waggle import Artefact, Effect, Risk, ToolContext, ToolError, tool

MOST_POINTS = 5_000
Sql = Annotated[str, Field(min_length=1, max_length=10_000, description="One SELECT in DuckDB's dialect.")]


class TableInfo(BaseModel):
    """A table."""

    table: str
    source: str
    rows: int
    columns: list[str]


class QueryResult(BaseModel):
    """Rows of a query; `truncated`: there were more."""

    columns: list[str]
    rows: list[list[Any]]
    row_count: int
    truncated: bool


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=120, destinations=())
async def list_tables(*, call: ToolContext[DataSettings]) -> list[TableInfo]:
    """List the tables: one for each attached table file, and those of the configured databases.

    In SQL, write a name that has a dot or a capital in double quotes.
    """
    tables = await tables_of(call)
    if not tables.sources and tables.unreadable:
        name, why = next(iter(tables.unreadable.items()))
        raise ToolError("unreadable_file", f"{name} could not be read as a table: {why}", suggested_action=WITHOUT_IT)
    return [await _info(tables, table, source) for table, source in tables.sources.items()]


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=120, destinations=())
async def describe_table(table: str, *, call: ToolContext[DataSettings]) -> TableProfile:
    """Describe a table: its rows, and each column's type, range, mean, empty and most frequent values.

    Do this before you query a table.
    """
    tables = await tables_of(call)
    return await asyncio.to_thread(profile, tables, table)


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=120, destinations=())
async def query(
    sql: Sql, limit: Annotated[int, Field(ge=1, le=500)] = 50, *, call: ToolContext[DataSettings]
) -> QueryResult:
    """Run one SELECT over the tables. Aggregate in SQL; do not fetch rows to count them."""
    columns, rows, more = await select(await tables_of(call), sql, limit)
    return QueryResult(columns=columns, rows=rows, row_count=len(rows), truncated=more)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, timeout=120, destinations=())
async def draw_chart(
    sql: Sql,
    kind: ChartKind,
    x: Annotated[str, Field(description="Column for the x axis.")],
    y: Annotated[list[str], Field(min_length=1, max_length=5, description="Columns to draw.")],
    title: Annotated[str, Field(min_length=1, max_length=120)],
    name: Annotated[str, Field(pattern=r"^[\w-]+\.png$", description="File name, such as `failures.png`.")],
    *,
    call: ToolContext[DataSettings],
) -> Artefact:
    """Draw the rows of a SELECT as a chart and keep it as a file. For a histogram give the same column as x and y."""
    columns, rows, more = await select(await tables_of(call), sql, MOST_POINTS)
    if more or not rows:
        why = f"more than {MOST_POINTS} rows" if more else "no rows"
        raise ToolError("bad_chart", f"the query gives {why}", suggested_action="aggregate in SQL first")
    if missing := [name for name in (x, *y) if name not in columns]:
        message = f"the query has no column {', '.join(missing)}; it has {', '.join(columns)}"
        raise ToolError("bad_chart", message, suggested_action="use columns of the query, or select these too")
    series = {column: [_number(row[columns.index(column)], column) for row in rows] for column in y}
    xs = [row[columns.index(x)] for row in rows]
    content = await asyncio.to_thread(draw, kind, xs, series, (title, x))
    return await call.workspace.save(name, content, "image/png")


async def _info(tables: Any, table: str, source: str) -> TableInfo:
    _, rows, _ = await select(tables, f"SELECT count(*) FROM {quoted(table)}", 1)
    names, _, _ = await select(tables, f"SELECT * FROM {quoted(table)} LIMIT 0", 1)
    return TableInfo(table=table, source=source, rows=rows[0][0], columns=names)


def _number(value: Any, column: str) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    message = f"column {column} holds `{value}`, which is not a number"
    raise ToolError("bad_chart", message, suggested_action="choose another column, or CAST it in SQL")
