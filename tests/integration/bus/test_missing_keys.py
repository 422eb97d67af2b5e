"""Keys that a database has lost: what they seal waits and is reported, and what others have made up holds nothing."""

import asyncio
import os
import shlex
import sys
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.api.dead_letters import Search
from schemas.task import Task
from shared import bus
from shared.archive.run_keys import RunKeys
from shared.bus import publish
from shared.bus.admin import follow_skips, skips
from shared.bus.admin.held import held_groups
from shared.bus.dead.redrive import redriver
from shared.bus.held import Unreadable
from shared.bus.keyring import Keyring
from shared.bus.sealing import SEALED, Damaged, Owner, Seal, key_id, seal, unseal
from shared.runs import run_id_for
from shared.service.gauges import held_partitions
from tests.support.consuming import consuming, until
from tests.support.gateway_fixtures import serving
from tests.support.sealing import OTHER, RUN, ask, collecting, lose, put, read, record, restored

pytestmark = pytest.mark.broker

THIRD = run_id_for("acme", "three")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(skips, "LOOK_EVERY", 0.1)


@asynccontextmanager
async def skipping(settings):
    """The runs whose records were handled, by a consumer that obeys operators."""
    async with collecting(settings) as (seen, consumer):
        recovery = asyncio.create_task(follow_skips(settings, consumer.reader))
        yield seen, consumer
        recovery.cancel()
        await asyncio.wait([recovery], timeout=5)


def asked(settings, *runs: str):
    return [record(ask(each), settings, each) for each in runs]


async def key_of(keys: RunKeys, run: str) -> bytes:
    found = (await keys.get([run]))[run]
    assert found
    return found[0]


async def test_seals_made_up_outside_are_dead_letters_at_once_and_a_genuine_one_is_redriven_with_its_key(
    sealing, topics, keys
):
    seen, dead = [], []

    async def handle(delivery):
        seen.append(delivery.message.objective)

    lost = record(Task(tenant="acme", objective="lost"), sealing, "k1")
    await put(sealing, "tasks", lost)
    run = run_id_for("acme", None, "/test", lost.id)
    key = await key_of(keys, run)
    await lose(keys, run)
    forger = AIOKafkaProducer(bootstrap_servers=sealing.kafka)
    await forger.start()
    for name in (f"acme/{OTHER}/{key_id(b'unknown')}", f"acme/{OTHER}"):
        headers = [*((name, each.encode()) for name, each in lost.headers.items()), (SEALED, name.encode())]
        await forger.send_and_wait(sealing.topic_prefix + "tasks", b"\x01" + b"made up", b"k1", 0, headers=headers)
    await forger.stop()
    await put(sealing, "tasks", record(Task(tenant="acme", objective="honest"), sealing, "k2"))
    async with consuming(sealing, handle, topics=("tasks",), dead=dead) as (_, consumer):
        await until(lambda: seen == ["honest"] and len(dead) == 3)
        assert {error.code for _, error in dead} == {"sealed"}
        assert not consumer.held
        await restored(keys, run, key)
        async with redriver(sealing, lambda _: nullcontext()) as desk:
            found = (await desk.letters.search(Search(topic="tasks"))).letters
            await desk.redrive(min(each.name for each in found), "eva")
        await until(lambda: seen == ["honest", "lost"])


async def test_a_partition_is_held_at_a_missing_key_and_reported_until_an_operator_skips_the_record(
    sealing, topics, keys, sentinel
):
    await put(sealing, "runs", *asked(sealing, RUN, OTHER, THIRD))
    await lose(keys, OTHER)
    place = TopicPartition(sealing.topic_prefix + "runs", 0)
    async with skipping(sealing) as (seen, consumer), serving(sealing) as gateway:
        await until(lambda: consumer.held and seen == [RUN])
        held = consumer.held[place]
        assert (held.first, held.at, held.end) == (1, 1, 2)
        assert OTHER in held.why
        assert "restore the rows of run_keys" in held.why
        assert held_partitions(consumer.held) == {(place.topic, "0"): 1.0}
        with pytest.raises(Unreadable, match="runs/0 cannot be read from offset 1 up to 2: the key of"):
            await read(sealing, "runs")
        named = await held_groups(sealing, {place.topic: [consumer.group]})
        assert [(group, why.held.at) for group, why in named.items()] == [(consumer.group, 1)]
        order = {"offset": 1, "by": "eva", "reason": "its key is lost for good"}
        skipped = await gateway.post("/v1/topics/runs/partitions/0/skip", json=order)
        assert skipped.status_code == 202, skipped.text
        await until(lambda: seen == [RUN, THIRD])
        assert not consumer.held
    assert [each.offset for each in await read(sealing, "runs")] == [0, 2]


async def test_readers_of_a_whole_log_pass_a_forgotten_run_and_refuse_one_whose_key_is_missing(
    settings, sealing, topics, keys
):
    await put(sealing, "runs", *asked(sealing, RUN, OTHER))
    await lose(keys, OTHER)
    for each in (sealing, settings):
        with pytest.raises(Unreadable, match=f"the key of {OTHER} is missing: restore the rows of run_keys"):
            await read(each, "runs")
    await keys.forget("acme", [OTHER])
    assert [each.key for each in await read(sealing, "runs")] == [RUN.encode()]


async def test_the_command_that_rebuilds_says_which_key_to_restore_and_has_the_keys_of_a_stack_here(
    sealing, topics, keys, sentinel, tmp_path
):
    given = {"KAFKA": sealing.kafka, "REDIS": sealing.redis, "POSTGRES": sealing.postgres, "SEAL": "true"}
    (tmp_path / ".waggle").mkdir()
    lines = [f"WAGGLE_{name}={shlex.quote(value)}" for name, value in given.items()]
    (tmp_path / ".waggle/endpoints.env").write_text("\n".join(lines))
    own = {name: value for name, value in os.environ.items() if name.removeprefix("WAGGLE_") not in given}
    path = {"PYTHONPATH": str(Path(__file__).parents[3]), "WAGGLE_TOPIC_PREFIX": sealing.topic_prefix}

    async def rebuilding() -> tuple[int, str]:
        command = (sys.executable, "-m", "services.cli", "rebuild", "--json")
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=own | path, **pipes)
        said, _ = await process.communicate()
        return process.returncode, " ".join(said.decode().split())

    await put(sealing, "runs.log", *asked(sealing, RUN))
    assert (await rebuilding())[0] == 0
    await lose(keys, RUN)
    code, said = await rebuilding()
    assert code == 1, said
    assert "Traceback" not in said
    assert f"the key of {RUN} is missing: restore the rows of run_keys" in said
    await keys.forget("acme", [RUN])
    assert (await rebuilding())[0] == 0


async def test_after_a_failover_that_lost_a_key_each_record_is_opened_by_the_key_it_names(
    sealing, topics, keys, monkeypatch
):
    monkeypatch.setattr("shared.bus.keyring.CACHED_FOR", 0.0)
    before, after = Keyring(sealing), Keyring(sealing)
    await put(sealing, "runs", *asked(sealing, RUN), keyring=before)
    first = await key_of(keys, RUN)
    await lose(keys, RUN)
    await put(sealing, "runs", *asked(sealing, RUN), keyring=after)
    assert await key_of(keys, RUN) != first
    dead = []
    async with collecting(sealing, dead=dead) as (seen, consumer):
        await until(lambda: consumer.held)
        await put(sealing, "runs", *asked(sealing, RUN), keyring=before)  # it still has the key, and puts it back
        await until(lambda: seen == [RUN] * 3)
    assert not dead
    assert (await keys.get([RUN]))[RUN][1:] == (first,)
    await keys.forget("acme", [RUN])
    await restored(keys, RUN, first)
    assert await keys.get([RUN]) == {RUN: None}
    await before.close()
    await after.close()


async def test_a_key_that_a_failover_lost_is_put_back_by_the_writer_that_has_it(sealing, topics, keys, monkeypatch):
    monkeypatch.setattr("shared.bus.keyring.CACHED_FOR", 0.0)
    broker = bus.connect(sealing, "writer")
    await broker.start()
    await publish(broker, asked(sealing, RUN))
    first = await key_of(keys, RUN)
    await lose(keys, RUN)
    await publish(broker, asked(sealing, RUN))
    assert await keys.get([RUN]) == {RUN: (first,)}
    await broker.stop()


def test_a_record_that_names_no_key_opens_under_any_of_its_run():
    owner, old, new = Owner("acme", RUN), b"o" * 32, b"n" * 32
    value = seal(owner, old, {}, b"text").value
    assert unseal(owner, Seal(owner, "").fitting([new, old]), value).value == b"text"
    assert Seal(owner, key_id(old)).fitting([new, old]) == [old]
    with pytest.raises(Damaged):
        unseal(owner, [new], value)
