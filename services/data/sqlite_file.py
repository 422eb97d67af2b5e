"""SQLite files as batches of rows, in bounded memory: by generated columns a file of kilobytes holds gigabytes.

Read with the standard library, since DuckDB would have to download an extension.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from services.data.names import quoted

AT_ONCE = 20_000
"""Rows inserted together."""

_BYTES_AT_ONCE = 32 * 1_048_576
_LONGEST_VALUE = 16 * 1_048_576
_HEAP = 128 * 1_048_576
"""Bytes of the values inserted together, of one value, and of all memory that SQLite uses in this process."""

Row = tuple[Any, ...]


class SqliteTable(NamedTuple):
    """A table of a file: its columns with their types in DuckDB, and its rows in batches."""

    name: str
    kinds: dict[str, str]
    parts: Iterator[list[Row]]


def sqlite_tables(path: Path, *, seconds: float, most: int) -> Iterator[SqliteTable]:
    """Yield the tables of a file, with at most `most` rows each. Read the rows before the next table.

    Raises sqlite3's errors, MemoryError beyond the bounds, and TimeoutError after `seconds`.
    """
    ends = time.monotonic() + seconds
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source:
        source.set_progress_handler(lambda: time.monotonic() > ends, 100_000)
        source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        source.execute(f"PRAGMA hard_heap_limit = {_HEAP}")
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = source.execute(f"SELECT * FROM {quoted(table)} LIMIT {most}")
            columns = [each[0] for each in cursor.description]
            kinds = {column: _kind(source, table, column, most) for column in columns}
            yield SqliteTable(table, kinds, _parts(cursor, ends))


def _parts(rows: Iterable[Row], ends: float) -> Iterator[list[Row]]:
    """Yield the rows in batches that are bounded in rows and bytes. Raises TimeoutError after `ends`."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(batch) == AT_ONCE or size > _BYTES_AT_ONCE:
            if time.monotonic() > ends:
                raise TimeoutError
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _kind(source: sqlite3.Connection, table: str, column: str, most: int) -> str:
    """Return the type that fits every value: in SQLite a column's values have types of their own."""
    limited = f"SELECT {quoted(column)} AS value FROM {quoted(table)} LIMIT {most}"
    found = {kind for (kind,) in source.execute(f"SELECT DISTINCT typeof(value) FROM ({limited})")} - {"null"}
    if found == {"integer"}:
        return "BIGINT"
    if found and found <= {"integer", "real"}:
        return "DOUBLE"
    return "BLOB" if found == {"blob"} else "VARCHAR"
