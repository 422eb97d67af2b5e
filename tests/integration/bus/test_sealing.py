"""Sealing on a real broker and Postgres: what belongs to a run is unreadable in Kafka, and gone without its key."""

import asyncio
import base64
import json
from datetime import UTC, datetime

import asyncpg
import pytest

from schemas.task import Task
from shared import bus
from shared.archive import ArchiveUnavailable
from shared.archive.run_keys import RunKeys
from shared.bus import delay, encode_lean, publish
from shared.bus.admin.peek import newest_records
from shared.bus.dead.letters import read_dead_letter
from shared.bus.groups import TABLE
from shared.bus.owners import owner_of
from shared.bus.sealing import SEALED, Damaged, Owner, key_id, seal, unseal
from shared.errors import Forgotten, TerminalError
from shared.runs import run_id_for
from tests.support.consuming import consuming, until
from tests.support.keeping_time import timekeeping
from tests.support.sealing import OTHER, RUN, SECRET, ask, collecting, entry, filled, read, record, written

pytestmark = pytest.mark.broker


async def test_the_log_holds_no_text_of_a_run_and_readers_see_it(sealing, topics, keys):
    broker = bus.connect(sealing, "test")
    await broker.start()
    prefix = sealing.topic_prefix
    await publish(broker, [encode_lean(entry(RUN), key=RUN, source="/a", prefix=prefix), record(ask(RUN), sealing)])
    await broker.stop()
    for topic in ("journal", "runs"):
        [raw] = await written(sealing, topic)
        assert SECRET.encode() not in raw.value
        assert dict(raw.headers)[SEALED].startswith(f"acme/{RUN}/".encode())
        [clear] = await read(sealing, topic)
        assert SECRET.encode() in clear.value
        assert SEALED not in dict(clear.headers)


async def test_records_of_a_forgotten_run_are_passed_by_every_reader_and_hold_nothing_up(sealing, topics, keys):
    seen = []

    async def handle(delivery):
        seen.append(delivery.message.run_id)

    broker = bus.connect(sealing, "writer")
    await broker.start()
    await publish(broker, [record(ask(each), sealing, each) for each in (RUN, OTHER, RUN)])
    await keys.forget("acme", [RUN])
    async with consuming(sealing, handle) as (_, consumer):
        await until(lambda: seen == [OTHER])
        reached = [each for each in consumer.reader().assignment() if await consumer.reader().position(each)]
        async with asyncio.timeout(20):
            while sum([await consumer.reader().committed(each) or 0 for each in reached]) < 3:
                await asyncio.sleep(0.05)
    assert [each.key for each in await read(sealing, "runs")] == [OTHER.encode()]
    await broker.stop()


async def test_nothing_of_a_forgotten_run_is_written_by_a_process_that_did_not_know_it(sealing, topics, keys):
    await keys.forget("acme", [RUN])
    broker = bus.connect(sealing, "test")
    await broker.start()
    with pytest.raises(Forgotten):
        await publish(broker, [record(ask(RUN), sealing)])
    await broker.stop()
    assert await written(sealing, "runs") == []


async def test_a_delayed_record_is_sealed_in_its_timer_and_fires_without_keys(sealing, topics, keys):
    broker = bus.connect(sealing, "test")
    await broker.start()
    now, prefix = datetime.now(UTC), sealing.topic_prefix
    timer = delay(record(ask(RUN), sealing), now, table=TABLE, source="/test", prefix=prefix, now=now)
    await publish(broker, [timer])
    keyless = sealing.model_copy(update={"seal": False, "postgres": "postgresql://nobody@127.0.0.1:9/none"})
    async with timekeeping(keyless):
        async with asyncio.timeout(20):
            while not (fired := await written(sealing, "runs")):
                await asyncio.sleep(0.05)
    assert SECRET.encode() not in fired[0].value
    assert all(SECRET.encode() not in (each.value or b"") for each in await written(sealing, TABLE))
    [clear] = await read(sealing, "runs")
    assert SECRET.encode() in clear.value
    await broker.stop()


async def test_a_dead_letter_is_sealed_with_its_reason_and_shown_until_its_run_is_forgotten(sealing, topics, keys):
    async def handle(delivery):
        raise TerminalError(f"cannot handle {SECRET}")

    dead = []
    async with consuming(sealing, handle, dead=dead) as (broker, _):
        await publish(broker, [record(ask(RUN), sealing)])
        await until(lambda: dead)
    [raw] = await written(sealing, "runs.dlt")
    assert SECRET.encode() not in raw.value + b"".join(value for _, value in raw.headers)
    [letter] = [read_dead_letter(each, sealing.topic_prefix) for each in await read(sealing, "runs.dlt")]
    assert SECRET in letter.notes["dlt-message"]
    assert letter.run_id == RUN
    await keys.forget("acme", [RUN])
    assert await read(sealing, "runs.dlt") == []


async def test_a_task_is_sealed_under_the_run_that_it_becomes(sealing, topics, keys):
    broker = bus.connect(sealing, "test")
    await broker.start()
    await publish(broker, [record(Task(tenant="acme", objective=SECRET), sealing, "key-of-the-caller")])
    [raw] = await written(sealing, "tasks")
    assert SECRET.encode() not in raw.value
    run = run_id_for("acme", None, "/test", "key-of-the-caller/waggle.task.v1")
    assert dict(raw.headers)[SEALED].startswith(f"acme/{run}/".encode())
    await broker.stop()


async def test_clear_records_of_an_earlier_release_are_read_by_one_that_seals(settings, sealing, topics, keys):
    broker = bus.connect(settings, "earlier")
    await broker.start()
    await publish(broker, [record(ask(RUN), settings)])
    await broker.stop()
    assert [SECRET.encode() in each.value for each in await read(sealing, "runs")] == [True]


async def test_records_wait_while_their_keys_are_unavailable_and_none_is_lost(sealing, topics, keys, monkeypatch):
    broker = bus.connect(sealing, "writer")
    await broker.start()
    await publish(broker, [record(ask(RUN), sealing)])
    await broker.stop()
    seen, refused, get = [], [], RunKeys.get

    async def failing(self, runs):
        if len(refused) < 2:
            refused.append(runs)
            raise ArchiveUnavailable("for a test")
        return await get(self, runs)

    async def handle(delivery):
        seen.append((delivery.message.run_id, len(refused)))

    monkeypatch.setattr(RunKeys, "get", failing)
    async with consuming(sealing, handle):
        await until(lambda: seen)
    assert seen == [(RUN, 2)]


@pytest.mark.parametrize("value", [b"no JSON", b'{"tenant": "other"}'])
def test_a_dead_letter_belongs_to_the_tenant_that_its_original_headers_name(value):
    original = [["ce_tenant", base64.b64encode(b"acme").decode()]]
    assert owner_of("runs.dlt", RUN, {"dlt-headers": json.dumps(original)}, value) == Owner("acme", RUN)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidPasswordError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.UndefinedTableError,
        asyncpg.QueryCanceledError,
        asyncpg.DataCorruptedError,
        RuntimeError,
    ],
)
async def test_no_record_is_lost_if_postgres_answers_with_any_error(sealing, topics, keys, monkeypatch, error):
    runs = [run_id_for("acme", f"run-{n}") for n in range(8)]
    await filled(sealing, *runs)
    asked, connected = [], RunKeys._connected

    async def failing(self):
        asked.append(1)
        if len(asked) in (2, 3, 5):
            raise error("for a test")
        return await connected(self)

    monkeypatch.setattr(RunKeys, "_connected", failing)
    async with collecting(sealing) as (seen, _):
        await until(lambda: len(seen) >= len(runs))
        await until(lambda: len(asked) > 5)
    assert sorted(seen) == sorted(runs)


async def test_a_record_whose_key_is_missing_waits_for_it_or_for_its_run_to_be_forgotten(
    sealing, topics, keys, monkeypatch
):
    await filled(sealing, RUN, OTHER)
    [[key]] = (await keys.get([RUN])).values()
    asked, get = [], RunKeys.get

    async def counting(self, runs):
        found = await get(self, runs)
        asked.extend(runs)
        return found

    async with (await keys._connected()).acquire() as connection:
        await connection.execute("DROP TABLE run_keys")
    with pytest.raises(ArchiveUnavailable):
        await keys.get([RUN])
    assert await keys.get([RUN]) == {}
    monkeypatch.setattr(RunKeys, "get", counting)
    dead = []
    async with collecting(sealing, dead=dead) as (seen, consumer):
        await until(lambda: min(asked.count(RUN), asked.count(OTHER)) > 2)
        assert not seen
        async with (await keys._connected()).acquire() as connection:
            await connection.execute("INSERT INTO run_keys (run, tenant, key) VALUES ($1, 'acme', $2)", RUN, key)
        await keys.forget("acme", [OTHER])
        await until(lambda: seen == [RUN])
        async with asyncio.timeout(20):
            while sum([await consumer.reader().committed(each) or 0 for each in consumer.reader().assignment()]) < 2:
                await asyncio.sleep(0.05)
    assert not dead


async def test_an_installation_that_does_not_seal_passes_sealed_records_without_a_key(settings, sealing, topics, keys):
    await filled(sealing, RUN)
    async with (await keys._connected()).acquire() as connection:
        await connection.execute("TRUNCATE run_keys")
    dead = []
    async with collecting(settings, dead=dead):
        await until(lambda: dead)
    found = [await newest_records(settings, "runs", each, None, 9) for each in range(4)]
    assert sum(map(len, found)) == 1  # a listing shows what it cannot read, and does not wait for it


@pytest.mark.parametrize("owner", [Owner("other", RUN), Owner("acme", OTHER)])
def test_a_sealed_value_opens_for_its_own_tenant_and_run_only(owner):
    key = b"k" * 32
    sealed = seal(Owner("acme", RUN), key, {"ce_id": "1", "waggle-causes": SECRET}, SECRET.encode())
    assert sealed.headers == {"ce_id": "1", SEALED: f"acme/{RUN}/{key_id(key)}"}
    assert unseal(Owner("acme", RUN), [key], sealed.value) == ({"waggle-causes": SECRET}, SECRET.encode())
    with pytest.raises(Damaged):
        unseal(owner, [key], sealed.value)


def test_a_value_that_opens_to_more_than_memory_is_damaged():
    key, owner = b"k" * 32, Owner("acme", RUN)
    with pytest.raises(Damaged):
        unseal(owner, [key], seal(owner, key, {}, b"0" * (65 << 20)).value)
