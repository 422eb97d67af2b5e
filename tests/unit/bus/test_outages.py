"""Errors that count as an unavailable dependency: only those its own door raises."""

import asyncio

import asyncpg
import pytest
from aiokafka.errors import KafkaError

from shared import archive, blackboard, bus
from shared.archive import ArchiveUnavailable, BlobStore
from shared.archive.outages import LACKING
from shared.archive.outages import mapped as archive_mapped
from shared.bus.outages import mapped as kafka_mapped
from shared.errors import RetryableError

BUILTIN = [OSError(2, "no such file"), TimeoutError(), ConnectionRefusedError(), BrokenPipeError()]


@pytest.mark.parametrize("error", BUILTIN, ids=lambda error: type(error).__name__)
def test_no_builtin_error_counts_as_an_outage_elsewhere(error):
    assert not isinstance(error, (*bus.OUTAGES, *blackboard.OUTAGES, *archive.OUTAGES))


@pytest.mark.parametrize("error", BUILTIN, ids=lambda error: type(error).__name__)
def test_the_doors_map_builtin_errors(error):
    with pytest.raises(KafkaError), kafka_mapped():
        raise error
    with pytest.raises(ArchiveUnavailable), archive_mapped():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionFailureError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.InvalidPasswordError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.SerializationError,
        asyncpg.DiskFullError,
        asyncpg.TooManyConnectionsError,
        asyncpg.QueryCanceledError,
        asyncpg.CannotConnectNowError,
        asyncpg.PostgresIOError,
        asyncpg.TargetServerAttributeNotMatched,
    ],
)
def test_a_server_that_refuses_every_request_is_an_outage(error):
    with pytest.raises(ArchiveUnavailable), archive_mapped():
        raise error("for a test")


def test_a_refused_statement_is_no_outage():
    with pytest.raises(asyncpg.UndefinedTableError), archive_mapped():
        raise asyncpg.UndefinedTableError("no such table")


def test_a_database_that_lacks_our_tables_or_rights_is_waited_for():
    for error in LACKING:
        with pytest.raises(ArchiveUnavailable), archive_mapped(*LACKING):
            raise error("for a test")


async def test_an_unavailable_archive_is_worth_a_retry_and_all_who_wait_share_one_attempt(monkeypatch):
    attempts, connect = [], asyncpg.create_pool

    async def counted(*given, **more):
        attempts.append(1)
        await asyncio.sleep(0.3)  # until both wait, although one of them first hashes a content in a thread
        return await connect(*given, **more)

    monkeypatch.setattr(asyncpg, "create_pool", counted)
    store = BlobStore("postgresql://waggle@127.0.0.1:9/none", 1_000)
    asked = (store.put("acme", b"x", "text/plain"), store.get("acme", "blob:0"))
    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in failures] == [ArchiveUnavailable, ArchiveUnavailable]
    assert isinstance(failures[0], RetryableError)
    assert failures[0].code == "archive_unavailable"
    assert len(attempts) == 1
    await store.close()
