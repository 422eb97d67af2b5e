"""One bounded SELECT, with its result as JSON."""

import asyncio
import datetime as dt
import decimal
import math
import threading
import uuid
from typing import Any

import duckdb

from services.data.tables import Tables
from shared.tools import ToolError

SECONDS = 20.0
"""Time limit of one query, in seconds."""


async def select(tables: Tables, sql: str, limit: int) -> tuple[list[str], list[list[Any]], bool]:
    """Return columns, rows, and true if there were more. Raises ToolError `read_only`, `bad_sql`, `query_too_slow`."""
    check_read_only(tables, sql)
    return await asyncio.to_thread(_run, tables, sql, limit)


def check_read_only(tables: Tables, sql: str) -> None:
    """Refuse anything but exactly one SELECT."""
    try:
        statements = tables.connection.extract_statements(sql)
    except duckdb.Error as wrong:
        raise _bad(wrong) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ToolError("read_only", "only one SELECT statement is run", suggested_action="send a single SELECT")


def _run(tables: Tables, sql: str, limit: int) -> tuple[list[str], list[list[Any]], bool]:
    cursor = tables.connection.cursor()
    alarm = threading.Timer(SECONDS, cursor.interrupt)
    alarm.start()
    try:
        cursor.execute(sql)
        columns = [each[0] for each in cursor.description or []]
        rows = cursor.fetchmany(limit + 1)
    except duckdb.InterruptException:
        message = f"the query took longer than {SECONDS:g} s"
        raise ToolError("query_too_slow", message, suggested_action="aggregate or filter more") from None
    except duckdb.Error as wrong:
        raise _bad(wrong) from None
    finally:
        alarm.cancel()
        cursor.close()
    return columns, [[plain(value) for value in row] for row in rows[:limit]], len(rows) > limit


def _bad(wrong: Exception) -> ToolError:
    return ToolError("bad_sql", str(wrong)[:1_000], suggested_action="correct the SQL (DuckDB dialect)")


def plain(value: Any) -> Any:
    """Return a value for JSON: times as ISO 8601, decimals as numbers, NaN and infinity as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case decimal.Decimal():
            return float(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case bytes():
            return value.hex()
        case dt.timedelta() | uuid.UUID():
            return str(value)
    return str(value)
