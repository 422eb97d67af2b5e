"""An order to forget is carried out to its end although the service is killed in the middle of it."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from schemas.memory_log import ForgettingOrdered
from shared.archive import BlobStore
from shared.archive.forgettings import Forgettings
from shared.archive.run_keys import RunKeys
from shared.bus import encode, publish
from shared.memory import Selection
from shared.runs import run_id_for
from tests.support.remembering import log, on_blackboard, single, until

pytestmark = pytest.mark.broker

GONE, OTHER = run_id_for("acme", "heron"), run_id_for("acme", "otter")


@asynccontextmanager
async def locked(settings, table: str):
    """Nothing else reads or writes the table within the block."""
    connection = await asyncpg.connect(settings.postgres)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.fixture
async def stores(settings):
    """Keys, files and orders; those of earlier tests are dropped."""
    keys, files, ledger = (
        RunKeys(settings.postgres),
        BlobStore(settings.postgres, 1_000),
        Forgettings(settings.postgres),
    )
    await keys.get([GONE]), await files.count("acme"), await ledger.open()
    connection = await asyncpg.connect(settings.postgres)
    await connection.execute("TRUNCATE run_keys, blobs, forgettings")
    await connection.close()
    yield keys, files, ledger
    for each in (keys, files, ledger):
        await each.close()


async def happened(settings, writer, sentinel, run_id: str, file: str) -> None:
    """A run with a file has ended."""
    context = {"attachments": [{"name": "notes.txt", "uri": file}]}
    run = single(run_id, f"Count {run_id}", f"There are 17, {run_id}.", context=context)
    await log(writer, settings, run)
    await on_blackboard(sentinel, run)


async def test_an_order_is_finished_by_the_next_process_wherever_the_first_was_killed(
    settings, writer, memories, sentinel, stores, service
):
    keys, files, ledger = stores
    named = [await files.put("acme", each.encode(), "text/plain") for each in (GONE, OTHER)]
    await keys.make({GONE: "acme", OTHER: "acme"})
    for run, file in zip((GONE, OTHER), named, strict=True):
        await happened(settings, writer, sentinel, run, file)

    async def remembered():
        return {each.run for each in await memories.select("acme", Selection(), most=100)}

    async def both_remembered():
        return await remembered() == {GONE, OTHER}

    async def other_remembered():
        return await remembered() == {OTHER}

    async def working():
        return [each.report.state for each in await ledger.open()] == ["working"]

    async def key_destroyed():
        return (await keys.get([GONE]))[GONE] is None

    async def done():
        return [each.state for each in await ledger.list("acme", 9)] == ["done"]

    await service.start()
    await until(both_remembered, 150)
    order = ForgettingOrdered(tenant="acme", run=GONE, by="ada", at=datetime.now(UTC))
    about = {"source": "/test", "prefix": settings.topic_prefix, "now": order.at, "key": order.key}
    async with locked(settings, "blobs"):
        async with locked(settings, "run_keys"):
            await publish(writer, [encode(order, id=uuid4().hex, **about)])
            await until(working, 150)
            await service.kill()
        assert (await keys.get([GONE]))[GONE] is not None, "it was killed before the key was destroyed"
        await service.start(ready=False)
        await until(key_destroyed, 150)
        await service.kill()
    assert [each async for each in sentinel.own.scan_iter(f"*{GONE}*")], "and before the blackboard was erased"
    assert await files.get("acme", named[0]) is not None
    await service.start(ready=False)
    await until(done, 150)
    [report] = await ledger.list("acme", 9)
    assert (report.runs, report.live) == ([GONE], [])
    await until(other_remembered, 150)  # its rows go once the service reads its own deletions
    assert [each async for each in sentinel.own.scan_iter(f"*{GONE}*")] == []
    assert await files.get("acme", named[0]) is None
    assert (await keys.get([OTHER]))[OTHER] is not None
    assert await files.get("acme", named[1]) is not None
    assert [each async for each in sentinel.own.scan_iter(f"*{OTHER}*")]
