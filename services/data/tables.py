"""Files and databases as tables of one DuckDB, which has no other access once they are loaded."""

import asyncio
import datetime as dt
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import asyncpg
import duckdb

from services.data.names import quoted
from services.data.settings import DataSettings
from services.data.sqlite_file import AT_ONCE, sqlite_tables
from shared.tools import WITHOUT_IT, ToolContext, ToolError

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".sqlite", ".sqlite3", ".db", ".duckdb")
MOST_ROWS = 2_000_000
"""Maximum rows copied from one table of a database."""
LOADING = 60.0
"""Time limit for the tables of one file, in seconds."""

_BOUNDED = ("SET memory_limit = '512MB'", "SET max_temp_directory_size = '512MB'", "SET threads = 2")
_LOCKED = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(eq=False)
class Tables:
    """The tables of one step."""

    connection: Any
    sources: dict[str, str] = field(default_factory=dict)
    """Table → its source, a file or a database."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """File → reason that it is no table."""

    def check(self, table: str) -> str:
        """Return the table's name, quoted for SQL. Raises ToolError `unknown_table`."""
        if table in self.sources:
            return quoted(table)
        why = "; ".join(f"{name} could not be read: {reason}" for name, reason in self.unreadable.items())
        there = ", ".join(self.sources) or "none"
        message = f"there is no table `{table}`; there are: {there}" + (f"; {why}" if why else "")
        raise ToolError("unknown_table", message, suggested_action="use a name that list_tables returns")


_OPEN: WeakValueDictionary[tuple[str, str], Tables] = WeakValueDictionary()
"""Tenant and folder of a step → its tables."""
_KEPT: list[Tables] = []
_LOCK = asyncio.Lock()


async def tables_of(call: ToolContext[DataSettings]) -> Tables:
    """Return the tables of this step, loaded at its first call."""
    key = call.tenant, str(call.workspace.folder)
    async with _LOCK:
        if (known := _OPEN.get(key)) is None:
            known = await _load(call)
            _OPEN[key] = known
            _KEPT.append(known)
            del _KEPT[:-8]
    return known


async def _load(call: ToolContext[DataSettings]) -> Tables:
    names = [file.name for file in call.workspace.files() if Path(file.name).suffix.lower() in SUFFIXES]
    files, missing = await _files(call, names)
    databases = await asyncio.to_thread(call.settings.databases_of, call.tenant)
    rows, unknown = await _servers(databases)
    local = [(name, Path(dsn)) for name, dsn in databases.items() if "://" not in dsn]
    tables = await asyncio.to_thread(_open, files, local, rows)
    tables.unreadable |= missing | unknown
    return tables


async def _servers(databases: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tables of databases on servers; and the reasons for databases that do not exist."""
    rows: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, dsn in databases.items():
        try:
            rows |= {name: await _postgres(dsn)} if "://" in dsn else {}
        except asyncpg.InvalidCatalogNameError:
            unknown[name] = "there is no such database"
    return rows, unknown


async def _files(call: ToolContext, names: Iterable[str]) -> tuple[list[tuple[str, Path]], dict[str, str]]:
    """Return the local paths of the files; and the reasons for those that are unavailable."""
    files: list[tuple[str, Path]] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            files.append((name, await call.workspace.path(name)))
        except ToolError as why:
            missing[name] = str(why)
    return files, missing


def _open(files: Iterable[tuple[str, Path]], local: Iterable[tuple[str, Path]], rows: dict[str, Any]) -> Tables:
    tables = Tables(duckdb.connect(":memory:"))
    for statement in _BOUNDED:
        tables.connection.execute(statement)
    for name, path in files:
        _try(tables, name, path, _identifier(Path(name).stem))
    for name, path in local:
        _try(tables, name, path, _identifier(name))
    for database, found in rows.items():
        for table, (columns, records) in found.items():
            _insert(tables, _free(tables, f"{_identifier(database)}.{table}"), columns, records, database)
    for statement in _LOCKED:
        tables.connection.execute(statement)
    return tables


def _try(tables: Tables, name: str, path: Path, identifier: str) -> None:
    """Load a file under a plain name: a reader might take its own name for a pattern, an option or an address."""
    alarm = threading.Timer(LOADING, tables.connection.interrupt)
    alarm.start()
    try:
        with tempfile.TemporaryDirectory(prefix="waggle-table-") as folder:
            plain = Path(folder, f"file{path.suffix.lower()}")
            plain.symlink_to(path.resolve())
            _reader(path)(tables, name, plain, identifier)
    except (duckdb.InterruptException, TimeoutError):
        tables.unreadable[name] = f"it took longer than {LOADING:g} s"
    except MemoryError:
        tables.unreadable[name] = "its rows take too much memory"
    except (duckdb.Error, sqlite3.Error, UnicodeError, OSError) as wrong:
        tables.unreadable[name] = (str(wrong).replace(str(path), name).splitlines() or [""])[0][:300]
    finally:
        alarm.cancel()


def _reader(path: Path) -> Callable[[Tables, str, Path, str], None]:
    if path.suffix.lower() in (".sqlite", ".sqlite3", ".db"):
        return _sqlite
    return _attached if path.suffix.lower() == ".duckdb" else _file


def _file(tables: Tables, name: str, path: Path, identifier: str) -> None:
    table = _free(tables, identifier)
    readers = _READERS.get(path.suffix.lower(), _READERS[".csv"])
    for number, reader in enumerate(readers):
        try:
            tables.connection.execute(f"CREATE TABLE {quoted(table)} AS SELECT * FROM {reader}", [str(path)])
            break
        except duckdb.Error:
            if number == len(readers) - 1:
                raise
    tables.sources[table] = name


_READERS = {
    ".csv": (
        "read_csv(?, sample_size = 100000)",
        "read_csv(?, encoding = 'latin-1', sample_size = 100000)",
        "read_csv(?, all_varchar = true, strict_mode = false, null_padding = true)",
        "read_csv(?, all_varchar = true, strict_mode = false, null_padding = true, encoding = 'latin-1')",
    ),
    ".json": ("read_json_auto(?)",),
    ".jsonl": ("read_json_auto(?, format = 'newline_delimited')",),
    ".ndjson": ("read_json_auto(?, format = 'newline_delimited')",),
    ".parquet": ("read_parquet(?)",),
}


def _attached(tables: Tables, name: str, path: Path, identifier: str) -> None:
    tables.connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS source (READ_ONLY)")
    try:
        for (table,) in tables.connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'source'"
        ).fetchall():
            free = _free(tables, f"{identifier}.{table}")
            tables.connection.execute(f"CREATE TABLE {quoted(free)} AS SELECT * FROM source.{quoted(table)}")
            tables.sources[free] = name
    finally:
        tables.connection.execute("DETACH source")


def _sqlite(tables: Tables, name: str, path: Path, identifier: str) -> None:
    for table, kinds, parts in sqlite_tables(path, seconds=LOADING, most=MOST_ROWS):
        _fill(tables, _free(tables, f"{identifier}.{table}"), kinds, parts, name)


async def _postgres(dsn: str) -> dict[str, tuple[list[str], list[Any]]]:
    """Copy every table of the public schema, in a read-only transaction."""
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except ValueError:  # the error quotes the part it cannot read, perhaps a part of the password
        why = "WAGGLE_DATABASES holds an invalid address"
        raise ToolError("not_configured", why, suggested_action=WITHOUT_IT) from None
    try:
        async with connection.transaction(readonly=True):
            names = await connection.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            )
            return {row["table_name"]: await _postgres_rows(connection, row["table_name"]) for row in names}
    finally:
        await connection.close()


async def _postgres_rows(connection: Any, table: str) -> tuple[list[str], list[Any]]:
    statement = await connection.prepare(f"SELECT * FROM {quoted(table)} LIMIT {MOST_ROWS}")
    columns = [attribute.name for attribute in statement.get_attributes()]
    return columns, [tuple(row) for row in await statement.fetch()]


def _insert(tables: Tables, table: str, columns: list[str], records: list[Any], source: str) -> None:
    kinds = {column: _kind(records, index) for index, column in enumerate(columns)}
    parts = (records[start : start + AT_ONCE] for start in range(0, len(records), AT_ONCE))
    _fill(tables, table, kinds, parts, source)


def _fill(tables: Tables, table: str, kinds: dict[str, str], parts: Iterable[list[Any]], source: str) -> None:
    """Create a table from rows, in batches: each column of a batch goes in as one list."""
    declared = ", ".join(f"{quoted(column)} {kind}" for column, kind in kinds.items())
    tables.connection.execute(f"CREATE TABLE {quoted(table)} ({declared})")
    lists = ", ".join(f"unnest(?::{kind}[])" for kind in kinds.values())
    for part in parts:
        values = [
            [_value(each, kind) for each in column]
            for column, kind in zip(zip(*part, strict=True), kinds.values(), strict=True)
        ]
        tables.connection.execute(f"INSERT INTO {quoted(table)} SELECT {lists}", values)
    tables.sources[table] = source


def _value(value: Any, kind: str) -> Any:
    """Return a value as its column's list accepts it."""
    match kind, value:
        case _, None:
            return None
        case "DOUBLE", _:
            return float(value)
        case "VARCHAR", bytes():
            return value.decode(errors="replace")
        case "VARCHAR", _:
            return str(value)
        case "TIMESTAMP", dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value


def _kind(records: list[Any], index: int) -> str:
    kinds = {type(record[index]).__name__ for record in records if record[index] is not None}
    known = {
        "bytes": "BLOB",
        "int": "BIGINT",
        "float": "DOUBLE",
        "bool": "BOOLEAN",
        "datetime": "TIMESTAMP",
        "date": "DATE",
    }
    if kinds <= {"int", "float"} and kinds:
        return "BIGINT" if kinds == {"int"} else "DOUBLE"
    return known.get(next(iter(kinds)), "VARCHAR") if len(kinds) == 1 else "VARCHAR"


def _identifier(name: str) -> str:
    plain = re.sub(r"\W+", "_", name).strip("_").lower() or "table"
    return f"t_{plain}" if plain[0].isdigit() else plain


def _free(tables: Tables, name: str) -> str:
    number, free = 1, name
    while free in tables.sources:
        number += 1
        free = f"{name}_{number}"
    return free
