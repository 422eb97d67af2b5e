"""The data agent's tools on real files and a real Postgres."""

import sqlite3
import time
from contextlib import closing

import asyncpg
import duckdb
import pytest

from services.data import tables
from services.data.settings import DataSettings
from services.data.tools import describe_table, draw_chart, list_tables, query
from shared.tools import ToolError
from tests.support.workspaces import call_in


@pytest.fixture
def call(tmp_path):
    return call_in(tmp_path, DataSettings())


def put(call, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    (call.workspace.inputs / name).write_bytes(data)


async def refused(tool, arguments, call) -> ToolError:
    with pytest.raises(ToolError) as error:
        await tool.invoke(arguments, call)
    return error.value


async def test_a_csv_is_a_table_and_its_profile_is_true(call):
    put(call, "Sales 2024.csv", "day,region,amount\n2024-01-01,eu,10\n2024-01-02,us,30\n2024-01-03,eu,\n")
    assert await list_tables.invoke({}, call) == [
        {"table": "sales_2024", "source": "Sales 2024.csv", "rows": 3, "columns": ["day", "region", "amount"]}
    ]
    profile = await describe_table.invoke({"table": "sales_2024"}, call)
    day, region, amount = profile["columns"]
    assert profile["rows"] == 3
    assert (day["type"], day["min"], day["max"]) == ("DATE", "2024-01-01", "2024-01-03")
    assert region["top"] == [{"value": "eu", "count": 2}, {"value": "us", "count": 1}]
    assert (amount["nulls"], amount["mean"], amount["max"]) == (1, 20.0, 30)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("semicolons.csv", "a;b\n1;2\n3;4\n", 2),
        ("tabs.tsv", "a\tb\n1\t2\n", 1),
        ("quoted.csv", 'a,b\n"one\ntwo",2\n', 1),
        ("latin.csv", "name,n\nMünchen,1\nKöln,2\n".encode("latin-1"), 2),
        ("header.csv", "a,b,c\n", 0),
        ("mixed.csv", "a\n1\ntwo\n3.5\n", 3),
        ("wide.csv", ",".join(f"c{n}" for n in range(200)) + "\n" + ",".join("1" for _ in range(200)) + "\n", 1),
        ("odd.csv", 'Name (€), "x", select\n1,2,3\n', 1),
        ("records.json", '[{"a": 1, "b": {"c": [1, 2]}}, {"a": 2, "b": null}]', 2),
        ("lines.jsonl", '{"a": 1}\n{"a": 2}\n', 2),
    ],
)
async def test_any_untrusted_file_is_read_or_refused_clearly(call, name, content, rows):
    put(call, name, content)
    (table,) = await list_tables.invoke({}, call)
    profile = await describe_table.invoke({"table": table["table"]}, call)
    assert (table["rows"], profile["rows"]) == (rows, rows)


@pytest.mark.parametrize(("name", "content"), [("broken.parquet", b"no parquet"), ("broken.json", b"{{{")])
async def test_an_unreadable_file_is_named_with_the_reason_and_no_path_of_this_machine(call, name, content, tmp_path):
    put(call, name, content)
    error = await refused(list_tables, {}, call)
    assert error.code == "unreadable_file"
    assert name in str(error)
    assert str(tmp_path) not in str(error)


async def test_an_unknown_table_names_those_there_are(call):
    put(call, "orders.csv", "a\n1\n")
    error = await refused(describe_table, {"table": "order"}, call)
    assert (error.code, "orders" in str(error)) == ("unknown_table", True)


async def test_parquet_sqlite_and_duckdb_files_are_tables_too(call):
    inputs = call.workspace.inputs
    duckdb.sql("SELECT 1 AS a, 'x' AS b").write_parquet(str(inputs / "p.parquet"))
    with sqlite3.connect(inputs / "shop.sqlite") as source:
        source.execute("CREATE TABLE items (name TEXT, price REAL)")
        source.execute("INSERT INTO items VALUES ('tea', 2.5), ('milk', 1)")
    source.close()
    with duckdb.connect(str(inputs / "stock.duckdb")) as stock:
        stock.execute("CREATE TABLE levels AS SELECT 7 AS n")
    tables = {each["table"]: each["rows"] for each in await list_tables.invoke({}, call)}
    assert tables == {"p": 1, "shop.items": 2, "stock.levels": 1}
    result = await query.invoke({"sql": 'SELECT sum(price) FROM "shop.items"'}, call)
    assert result["rows"] == [[3.5]]


async def test_a_configured_postgres_is_read_and_never_written(tmp_path, parts):
    connection = await asyncpg.connect(parts["WAGGLE_POSTGRES"])
    await connection.execute("DROP TABLE IF EXISTS invoices; CREATE TABLE invoices (id int, paid bool, total numeric)")
    await connection.execute("INSERT INTO invoices VALUES (1, true, 9.5), (2, false, 1)")
    call = call_in(tmp_path, DataSettings(databases={"erp": parts["WAGGLE_POSTGRES"]}))
    assert {"erp.invoices"} <= {each["table"] for each in await list_tables.invoke({}, call)}
    result = await query.invoke({"sql": 'SELECT count(*) FROM "erp.invoices" WHERE paid'}, call)
    assert result["rows"] == [[1]]
    await connection.execute("DROP TABLE invoices")
    await connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE orders",
        "INSERT INTO orders VALUES (1)",
        "SELECT 1; SELECT 2",
        "COPY orders TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/x.db' AS x",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CREATE TABLE x AS SELECT 1",
    ],
)
async def test_only_one_select_is_run(call, sql):
    put(call, "orders.csv", "a\n1\n")
    assert (await refused(query, {"sql": sql}, call)).code == "read_only"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    ],
)
async def test_a_query_reaches_nothing_but_its_tables(call, sql):
    put(call, "orders.csv", "a\n1\n")
    error = await refused(query, {"sql": sql}, call)
    assert error.code == "bad_sql"


async def test_a_query_without_an_end_is_interrupted(call, monkeypatch):
    monkeypatch.setattr("services.data.queries.SECONDS", 0.5)
    put(call, "orders.csv", "a\n1\n")
    sql = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 11"
    assert (await refused(query, {"sql": sql}, call)).code == "query_too_slow"
    assert (await query.invoke({"sql": "SELECT a FROM orders"}, call))["rows"] == [[1]]


async def test_more_rows_than_asked_for_are_said_to_be_there(call):
    put(call, "n.csv", "a\n" + "\n".join(map(str, range(100))) + "\n")
    result = await query.invoke({"sql": "SELECT a FROM n", "limit": 10}, call)
    assert (result["row_count"], result["truncated"]) == (10, True)


async def test_times_decimals_and_what_is_no_number_are_json(call):
    put(call, "n.csv", "a\n1\n")
    sql = "SELECT TIMESTAMP '2024-01-02 03:04:05', 1.5::DECIMAL(4,2), 'nan'::DOUBLE, INTERVAL 1 DAY, [1, 2]"
    (row,) = (await query.invoke({"sql": sql}, call))["rows"]
    assert row == ["2024-01-02T03:04:05", 1.5, None, "1 day, 0:00:00", [1, 2]]


@pytest.mark.parametrize("kind", ["line", "bar", "scatter", "histogram"])
async def test_a_chart_is_a_png_and_the_same_rows_give_the_same_bytes(call, kind):
    put(call, "n.csv", "day,a,b\n2024-01-01,1,3\n2024-01-02,2,1\n2024-01-03,4,2\n")
    x = "a" if kind == "histogram" else "day"
    chart = {"sql": "SELECT * FROM n", "kind": kind, "x": x, "y": ["a", "b"], "title": "A", "name": "a.png"}
    await draw_chart.invoke(chart, call)
    first = (call.workspace.inputs / "a.png").read_bytes()
    await draw_chart.invoke(chart, call)
    assert first.startswith(b"\x89PNG")
    assert (call.workspace.inputs / "a.png").read_bytes() == first


async def test_a_chart_of_words_or_of_nothing_is_refused(call):
    put(call, "n.csv", "day,a\nmon,x\n")
    chart = {"sql": "SELECT * FROM n", "kind": "bar", "x": "day", "y": ["a"], "title": "A", "name": "a.png"}
    assert (await refused(draw_chart, chart, call)).code == "bad_chart"
    assert (await refused(draw_chart, chart | {"sql": "SELECT * FROM n WHERE false"}, call)).code == "bad_chart"
    assert (await refused(draw_chart, chart | {"y": ["z"]}, call)).code == "bad_chart"


async def test_sixty_thousand_rows_are_profiled_within_seconds(call):
    rows = "\n".join(f"{n},2024-01-{n % 28 + 1:02d},r{n % 7},{n % 100}" for n in range(60_000))
    put(call, "big.csv", "id,day,region,amount\n" + rows + "\n")
    started = time.monotonic()
    assert (await describe_table.invoke({"table": "big"}, call))["rows"] == 60_000
    assert time.monotonic() - started < 10


def sqlite(path, statements=(), rows=()):
    with closing(sqlite3.connect(path)) as made:
        for statement in statements:
            made.execute(statement)
        for statement, values in rows:
            made.executemany(statement, values)
        made.commit()


async def test_a_large_database_is_there_within_seconds_with_its_types(call):
    values = ((i, f"c{i % 500}", None if i % 3 else i * 0.5, b"\x00\xff", "1" if i % 2 else 2) for i in range(200_000))
    sqlite(
        call.workspace.inputs / "o.sqlite",
        ["CREATE TABLE o (id INTEGER, c TEXT, a REAL, b BLOB, mixed)", "CREATE TABLE empty (x, y TEXT)"],
        [("INSERT INTO o VALUES (?,?,?,?,?)", values)],
    )
    spent = time.process_time()
    listed = {each["table"]: each["rows"] for each in await list_tables.invoke({}, call)}
    assert time.process_time() - spent < 40  # row by row it is 0.8 ms each, 160 s
    assert listed == {"o.o": 200_000, "o.empty": 0}
    kinds = "typeof(id), typeof(c), typeof(a), typeof(b), typeof(mixed)"
    sql = f'SELECT {kinds}, sum(id) OVER (), a, mixed FROM "o.o" ORDER BY id LIMIT 1'
    (row,) = (await query.invoke({"sql": sql}, call))["rows"]
    assert row == ["BIGINT", "VARCHAR", "DOUBLE", "BLOB", "VARCHAR", 19_999_900_000, 0.0, "2"]


@pytest.mark.parametrize(
    "name",
    [
        "sales #2.db",
        "q?.sqlite",
        "100%25.db",
        "a[1].csv",
        "*.csv",
        "it's.csv",
        "two\nlines.csv",
        "?mode=rwc.db",
        "{a,b}.csv",
    ],
)
async def test_a_name_is_never_a_pattern_an_option_or_an_address(call, name):
    put(call, "other.csv", "a\n7\n8\n9\n")
    if name.endswith(".csv"):
        put(call, name, "a\n1\n")
    else:
        sqlite(call.workspace.inputs / name, ["CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)"])
    before = sorted(path.name for path in call.workspace.inputs.iterdir())
    listed = {each["source"]: (each["table"], each["rows"]) for each in await list_tables.invoke({}, call)}
    assert listed[name][1] == 1
    assert listed["other.csv"][1] == 3
    assert sorted(path.name for path in call.workspace.inputs.iterdir()) == before


async def test_a_file_that_cannot_be_had_fails_no_other(call, monkeypatch):
    put(call, "good.csv", "a\n1\n")
    put(call, "gone.csv", "a\n1\n")
    found = call.workspace.path

    async def path(name):
        if name == "gone.csv":
            raise ToolError("missing_content", "the archive does not hold it")
        return await found(name)

    monkeypatch.setattr(call.workspace, "path", path)
    assert [each["table"] for each in await list_tables.invoke({}, call)] == ["good"]
    assert "the archive does not hold it" in str(await refused(describe_table, {"table": "gone"}, call))


async def test_a_file_that_takes_too_long_is_given_up_and_said(call, monkeypatch):
    monkeypatch.setattr(tables, "LOADING", 0.2)
    put(call, "good.csv", "a\n1\n")
    sqlite(
        call.workspace.inputs / "slow.sqlite",
        ["CREATE TABLE t (a INTEGER)"],
        [("INSERT INTO t VALUES (?)", ((i,) for i in range(3_000_000)))],
    )
    assert [each["table"] for each in await list_tables.invoke({}, call)][:1] == ["good"]
    assert "slow.sqlite" in str(await refused(describe_table, {"table": "nothing"}, call))
