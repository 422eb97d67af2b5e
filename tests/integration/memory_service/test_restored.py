"""A Postgres that was restored from an older backup: what was forgotten since is forgotten once more."""

from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest

from schemas.memory_log import ForgettingOrdered, MemoryForgotten
from services.memory.key_expiry import KeyExpiry
from services.memory.recording import send
from services.memory.restored import Restored
from shared import bus
from shared.archive import ArchiveUnavailable, BlobStore
from shared.archive.forgettings import Forgettings
from shared.archive.run_keys import RunKeys
from shared.bus.admin.peek import newest_records
from shared.bus.groups import OBSERVED
from shared.bus.held import Unreadable
from shared.memory import Selection
from shared.runs import run_id_for
from shared.service.ended_runs import EndedRuns
from shared.service.forgetting import Forgetter
from tests.support.dumps import backup_of, restore
from tests.support.remembering import log, remembering, single, until
from tests.support.sealing import lose, read, written

pytestmark = pytest.mark.broker

RUN, OTHER = run_id_for("acme", "restored-1"), run_id_for("acme", "restored-2")


@pytest.fixture
async def sealing(settings, topics):
    return settings.model_copy(update={"seal": True})


@pytest.fixture
async def keys(sealing):
    """Keys and orders; those of earlier tests, which reach a whole tenant, are dropped."""
    keys, orders = RunKeys(sealing.postgres), Forgettings(sealing.postgres)
    await keys.get([RUN]), await orders.open()
    await orders.close()
    async with (await keys._connected()).acquire() as connection:
        await connection.execute("TRUNCATE run_keys, forgettings")
    yield keys
    await keys.close()


async def write(settings, *runs, **given) -> None:
    """Write runs to the log by a process of their own."""
    broker = bus.connect(settings, "test")
    await broker.start()
    await log(broker, settings, *runs, **given)
    await broker.stop()


async def test_keys_and_memories_that_an_old_backup_brings_back_are_forgotten_again_at_the_next_start(
    sealing, sentinel, memories, keys
):
    archive = BlobStore(sealing.postgres, 1_000)
    async with remembering(sealing, sentinel) as found:
        ledger = found.viewer.ledger
        forgetter = Forgetter(sealing, sentinel, found.parts.runs, archive, keys, ledger)

        async def carry_out() -> None:
            for each in await ledger.open():
                assert not await forgetter.carry_out(each, found.viewer.forget_runs)

        async def remembered() -> set[str]:
            return {each.run for each in await memories.select("acme", Selection())}

        async def kept(number: int) -> bool:
            return len(await memories.select("acme", Selection())) == number

        await write(sealing, single(RUN), single(OTHER))
        await until(lambda: kept(4))
        backup = await backup_of(sealing.postgres)
        now = datetime.now(UTC) + timedelta(seconds=1)
        one = (await memories.select("acme", Selection(run=OTHER)))[0].id
        ordered = ForgettingOrdered(tenant="acme", run=RUN, by="ada", at=now)
        await send(found.parts, [ordered, MemoryForgotten(tenant="acme", id=one, by="ada", at=now)])
        await until(lambda: kept(1))
        await until(ledger.open)
        await carry_out()
        running = Restored(found.viewer, forgetter)
        await running.apply()
        assert not await running.is_older()
        assert (await keys.get([RUN]))[RUN] is None

        await restore(sealing.postgres, backup)
        assert (await keys.get([RUN]))[RUN] is not None
        assert await kept(4)
        assert await running.is_older()
        await Restored(found.viewer, forgetter).apply()
        await carry_out()
        assert (await keys.get([RUN]))[RUN] is None
        assert (await remembered(), await kept(1)) == ({OTHER}, True)
        assert {each.key for each in await read(sealing, "runs.log")} == {OTHER.encode()}

        await restore(sealing.postgres, backup, alone="run_keys")
        await Restored(found.viewer, forgetter).apply()
        assert (await keys.get([RUN]))[RUN] is None
        assert (await keys.get([OTHER]))[OTHER] is not None
    await archive.close()


async def test_a_key_expires_with_the_last_record_of_its_run_and_its_row_as_long_after(
    sealing, sentinel, memories, keys
):
    async with remembering(sealing, sentinel, noting=True) as found:
        expiry, now = KeyExpiry(found.viewer, keys, 90), datetime.now(UTC)

        async def later(days: int) -> int:
            async with (await keys._connected()).acquire() as connection:
                await connection.execute("UPDATE run_keys SET used = used - $1::int", days)
            return await expiry.expire(now)

        await write(sealing, single(RUN, "I prefer quiet rooms."))
        await until(lambda: found.viewer.turns.waiting(["acme"]))
        await until(lambda: memories.select("acme", Selection()))
        assert await later(91) == 0  # its memories and its turn are on a topic
        [turn] = await found.viewer.turns.batch("acme", "", 9)
        await send(found.parts, [turn.done_at(now, "read")])
        await until(lambda: _is(found.viewer.turns.waiting(["acme"]), 0))
        assert await later(91) == 0  # its memories are
        gone = [each.id for each in await memories.select("acme", Selection())]
        await found.viewer.forget("acme", gone, by="ada", reason="")
        assert await later(91) == 1
        assert await keys.get([RUN]) == {RUN: None}
        assert await keys.forgotten() == frozenset()
        last = [each for each in await written(sealing, "memories") if each.key == turn.key.encode()][-1]
        assert last.value is None
        assert await read(sealing, "runs.log") == []
        [[key]] = (await keys.make({RUN: "acme"})).values()  # it may be started once more
        assert await later(91) == 1
        assert await later(91) == 0
        assert key
        assert await keys.get([RUN]) == {}


async def _is(found, number) -> bool:
    return await found == number


async def test_files_and_orders_wait_for_a_database_that_lacks_its_tables_or_rights(settings):
    connection = await asyncpg.connect(settings.postgres)
    archive, ledger = BlobStore(settings.postgres, 1_000), Forgettings(settings.postgres)
    assert await archive.count("restored-1") == len(await ledger.list("restored-1", 1)) == 0
    for table, ask in {"blobs": partial(archive.count, "t"), "forgettings": ledger.ids}.items():
        await connection.execute(f"ALTER TABLE {table} RENAME TO {table}_restored")
        with pytest.raises(ArchiveUnavailable):
            await ask()
        assert not await ask()
        await connection.execute(f"DROP TABLE {table}; ALTER TABLE {table}_restored RENAME TO {table}")
    await connection.execute("DROP ROLE IF EXISTS waggle_without_rights; CREATE ROLE waggle_without_rights")
    joined = "&" if "?" in settings.postgres else "?"
    refused = BlobStore(f"{settings.postgres}{joined}role=waggle_without_rights", 1_000)
    with pytest.raises(ArchiveUnavailable, match="permission denied"):
        await refused.count("t")
    for each in (archive, ledger, refused, connection):
        await each.close()


async def test_an_ended_run_of_which_a_key_is_missing_is_an_error_and_is_not_remembered_in_part(
    sealing, sentinel, memories, keys
):
    run = single(RUN)
    last = len(run.changes)
    await write(sealing, run, numbers=range(1, last))
    await lose(keys, RUN)
    await write(sealing, run, numbers=[last])
    [record] = [
        each
        for partition in range(8)
        for each in await newest_records(sealing, OBSERVED, partition, None, 99) or []
        if not each.value.startswith(b"\x01")
    ]
    async with remembering(sealing, sentinel, group="other") as found:
        with pytest.raises(Unreadable, match=f"the key of {RUN} is missing: restore the rows of run_keys"):
            await EndedRuns(found.parts).follow(record)
        assert await memories.select("acme", Selection()) == []
