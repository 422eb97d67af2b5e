"""Files of some kilobytes that hold more than the agent may take: refused within bounded memory and disk space."""

import sqlite3
from contextlib import closing

import duckdb
import pytest

from services.data import sqlite_file
from services.data.settings import DataSettings
from services.data.tools import describe_table, list_tables
from shared.tools import ToolError
from tests.support.workspaces import call_in


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where DuckDB spills
    made = call_in(tmp_path, DataSettings())
    (made.workspace.inputs / "good.csv").write_text("a\n1\n")
    return made


async def reason_of(call) -> str:
    """Why the other file is no table; the good one is."""
    assert [each["table"] for each in await list_tables.invoke({}, call)] == ["good"]
    with pytest.raises(ToolError) as refused:
        await describe_table.invoke({"table": "other"}, call)
    return str(refused.value)


def made(call, columns: str) -> None:
    with closing(sqlite3.connect(call.workspace.inputs / "bomb.sqlite")) as source, source:
        source.execute(f"CREATE TABLE t (a, {columns})")
        source.execute("INSERT INTO t (a) VALUES (1)")


async def test_a_value_that_a_generated_column_makes_up_is_refused(call):
    made(call, "b AS (zeroblob(300000000))")
    assert "too big" in await reason_of(call)


async def test_rows_of_many_large_values_are_refused(call):
    made(call, ", ".join(f"c{n} AS (zeroblob(1000000))" for n in range(500)))
    assert "too much memory" in await reason_of(call)


async def test_a_file_that_unpacks_to_gigabytes_does_not_fill_the_disk(call, tmp_path):
    bomb = call.workspace.inputs / "bomb.parquet"
    rows = "SELECT repeat('x', 100000) AS a FROM range(20000)"
    duckdb.sql(f"COPY ({rows}) TO '{bomb}' (COMPRESSION zstd)")
    assert bomb.stat().st_size < 10_000
    assert "Out of Memory" in await reason_of(call)


def test_batches_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(sqlite_file, "_BYTES_AT_ONCE", 10)
    rows = [("abcdef", 1), (b"abcdef", None), ("a", 2.0)]
    assert list(sqlite_file._parts(iter(rows), float("inf"))) == [rows[:2], rows[2:]]
    with pytest.raises(TimeoutError):
        list(sqlite_file._parts(iter(rows), 0.0))
