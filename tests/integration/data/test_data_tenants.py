"""Databases of one tenant are out of reach of another: by name, SQL, file, link and cache."""

import asyncio
from dataclasses import replace

import asyncpg
import duckdb
import pytest

from services.data.settings import DataSettings
from services.data.tools import list_tables, query
from shared.tools import ToolError
from tests.support.workspaces import call_in


@pytest.fixture
def place(tmp_path):
    """A database file for each of two tenants, with a table of the same name."""
    for tenant in ("acme", "beta"):
        with duckdb.connect(str(tmp_path / f"{tenant}.duckdb")) as made:
            made.execute(f"CREATE TABLE orders AS SELECT '{tenant}-secret' AS customer")
    (tmp_path / "beta.csv").write_text("customer\nbeta-secret\n")
    return tmp_path


@pytest.fixture
def call(place):
    """A call of a task of a tenant."""

    def of(tenant, **databases):
        databases = databases or {"shop": f"{place}/{{tenant}}.duckdb"}
        made = call_in(place / f"step {len(list(place.iterdir()))}", DataSettings(databases=databases))
        return replace(made, tenant=tenant)

    return of


async def rows(call, sql='SELECT * FROM "shop.orders"'):
    return (await query.invoke({"sql": sql}, call))["rows"]


async def names(call):
    return [each["table"] for each in await list_tables.invoke({}, call)]


async def test_the_same_name_is_each_tenant_s_own_database(call):
    assert await rows(call("acme")) == [["acme-secret"]]
    assert await rows(call("beta")) == [["beta-secret"]]
    assert await rows(call("acme")) == [["acme-secret"]]


async def test_tables_kept_for_one_tenant_are_not_given_to_another_in_the_same_folder(call):
    one = call("acme")
    other = replace(one, tenant="beta")
    answers = await asyncio.gather(rows(one), rows(other), rows(one), rows(other))
    assert answers == [[["acme-secret"]], [["beta-secret"]]] * 2


async def test_a_tenant_without_a_database_has_no_tables(call, place):
    (place / "gamma.duckdb").symlink_to(place / "beta.duckdb")
    for tenant in ("gamma", "nobody", "default", "../beta", "beta.duckdb/../beta"):
        assert await names(call(tenant)) == []
        with pytest.raises(ToolError) as error:
            await rows(call(tenant))
        assert "beta-secret" not in str(error.value)
    assert await names(call("acme", **{"beta/shop": f"{place}/beta.duckdb", "old": f"{place}/beta.duckdb"})) == []


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{place}/beta.duckdb' AS other",
        "COPY (SELECT 1) TO '{place}/stolen.csv'",
        "COPY orders FROM '{place}/beta.csv'",
        "IMPORT DATABASE '{place}'",
        "LOAD sqlite",
        "SELECT * FROM read_csv('{place}/beta.csv')",
        "SELECT * FROM read_csv_auto(['{place}/beta.csv'])",
        "SELECT * FROM '{place}/beta.csv'",
        "SELECT * FROM read_text('{place}/beta.csv')",
        "SELECT * FROM read_blob('{place}/*')",
        "SELECT * FROM glob('{place}/*')",
        "SELECT * FROM parquet_scan('{place}/beta.csv')",
        "SELECT * FROM sqlite_scan('{place}/beta.duckdb', 'orders')",
        "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 'orders')",
        "SELECT * FROM query('ATTACH ''{place}/beta.duckdb''')",
        "SELECT * FROM query('SELECT * FROM read_csv(''{place}/beta.csv'')')",
        "SELECT * FROM query_table('{place}/beta.csv')",
        "SELECT * FROM beta.orders",
        "SELECT * FROM source.orders",
        "SELECT * FROM 'http://127.0.0.1/beta.csv'",
        "SELECT * FROM duckdb_secrets()",
        "SELECT getenv('WAGGLE_DATABASES')",
        "WITH x AS (SELECT * FROM read_json('{place}/beta.csv')) SELECT * FROM x",
    ],
)
async def test_sql_reaches_no_file_and_no_other_database(call, place, sql):
    mine = call("acme")
    assert await rows(mine) == [["acme-secret"]]
    with pytest.raises(ToolError) as error:
        await rows(mine, sql.replace("{place}", str(place)))
    assert error.value.code in ("bad_sql", "read_only")
    assert "beta-secret" not in str(error.value)
    assert not (place / "stolen.csv").exists()


@pytest.mark.parametrize("about", ["duckdb_databases()", "duckdb_settings()", "duckdb_tables()", "duckdb_views()"])
async def test_the_catalogue_of_duckdb_names_no_other_tenant(call, about):
    assert "beta" not in str(await rows(call("acme"), f"SELECT * FROM {about} LIMIT 500"))


async def test_each_tenant_reads_its_own_postgres(place, call, parts):
    connection = await asyncpg.connect(parts["WAGGLE_POSTGRES"])
    await connection.execute("DROP DATABASE IF EXISTS shop_acme")
    await connection.execute("CREATE DATABASE shop_acme")
    await connection.close()
    address, _, options = parts["WAGGLE_POSTGRES"].partition("?")
    each = f"{address.rpartition('/')[0]}/shop_{{tenant}}?{options}"
    own = await asyncpg.connect(each.replace("{tenant}", "acme"))
    await own.execute("CREATE TABLE invoices AS SELECT 'acme-secret' AS customer")
    await own.close()
    assert await rows(call("acme", erp=each), 'SELECT * FROM "erp.invoices"') == [["acme-secret"]]
    assert await names(call("beta", **{"acme/erp": each})) == []
    with pytest.raises(ToolError, match="erp could not be read as a table: there is no such database"):
        await names(call("beta", erp=each))
