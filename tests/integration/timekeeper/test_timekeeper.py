"""The timekeeper on a real broker: nothing early, nothing lost, in memory what is in the topic."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber, UnknownTopicOrPartitionError
from structlog.testing import capture_logs

from infra.topics import create, declared
from schemas.approval import HumanDecided
from schemas.budget import Budget
from schemas.step import DoStep
from schemas.timer import DeadlinePassed
from services.timekeeper import service
from shared import bus
from shared.bus import Erased, TableConsumer, TombstoneWriter, delay, encode, encode_delayed, publish, table
from shared.bus.groups import tables
from shared.bus.publishing import publish_bytes
from tests.support.gateway_fixtures import records_of
from tests.support.keeping_time import timekeeping

pytestmark = pytest.mark.broker


@asynccontextmanager
async def publishing(settings):
    broker = bus.connect(settings, "test")
    await broker.start()
    yield broker
    await broker.stop()


def timer(settings, id: str, seconds: float):
    now = datetime.now(UTC)
    message = DeadlinePassed(run_id=f"run-{id}", tenant="default")
    due = now + timedelta(seconds=seconds)
    return encode_delayed(message, due, id=id, source="/test", prefix=settings.topic_prefix, now=now)


def handoff(agent: str) -> DoStep:
    return DoStep(
        id="run-1/a/0.0.1",
        run_id="run-1",
        tenant="default",
        task_id="t",
        agent=agent,
        objective="count",
        budget_left=Budget(),
        timeout=1,
        deadline=datetime.now(UTC),
        step_id="a",
    )


@asynccontextmanager
async def watching(settings):
    """Arrivals on `runs`: (id, moment)."""
    found: list[tuple[str, float]] = []
    async with AIOKafkaConsumer(
        settings.topic_prefix + "runs",
        bootstrap_servers=settings.kafka,
        auto_offset_reset="earliest",
    ) as consumer:

        async def watch():
            while True:
                record = await consumer.getone()
                found.append((dict(record.headers)["ce_id"].decode(), time.time()))

        task = asyncio.create_task(watch())
        yield found
        task.cancel()


async def eventually(condition, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_records_come_back_when_they_are_due_never_early_and_hardly_late(settings, topics):
    async with timekeeping(settings), publishing(settings) as broker, watching(settings) as found:
        await asyncio.sleep(1)
        begun = time.time()
        await publish(broker, [timer(settings, f"t{n}", 0.2 + n / 20) for n in range(20)])
        await eventually(lambda: len(found) == 20)
    late = {id: at - begun - 0.2 - int(id[1:]) / 20 for id, at in found}
    assert sorted(late) == sorted(f"t{n}" for n in range(20))
    assert min(late.values()) >= 0
    assert max(late.values()) < 2  # what a busy machine adds; a look that comes too seldom adds more


async def test_waiting_timers_survive_a_kill_and_overdue_ones_fire_at_once(settings, topics):
    async with publishing(settings) as broker, watching(settings) as found:
        async with timekeeping(settings) as (keeper, _):
            await publish(broker, [timer(settings, "soon", 5.0), timer(settings, "later", 8.0)])
            due = time.time() + 5.0
            await eventually(lambda: len(keeper.timers) == 2)
        await asyncio.sleep(max(0.0, due - time.time()) + 0.2)
        assert found == []
        async with timekeeping(settings):
            await eventually(lambda: len(found) == 2, 30)
    assert sorted(id for id, _ in found) == ["later", "soon"]


async def test_a_fired_timer_does_not_fire_again_after_a_restart(settings, topics):
    async with publishing(settings) as broker, watching(settings) as found:
        async with timekeeping(settings) as (keeper, _):
            await publish(broker, [timer(settings, "once", 0.1)])
            await eventually(lambda: bool(found) and not len(keeper.timers))
        async with timekeeping(settings) as (keeper, consumer):
            await asyncio.sleep(0.5)
            await eventually(lambda: not consumer.loading)
            await publish(broker, [timer(settings, "last", 0.1)])
            await eventually(lambda: found[-1][0] == "last")
    assert [id for id, _ in found] == ["once", "last"]


async def test_a_timer_that_is_set_again_replaces_the_first_and_a_cleared_one_never_fires(settings, topics):
    async with timekeeping(settings) as (keeper, _), publishing(settings) as broker, watching(settings) as found:
        await publish(broker, [timer(settings, "moved", 30), timer(settings, "cleared", 1.0)])
        await eventually(lambda: len(keeper.timers) == 2)
        place = next(place for place, ids in keeper.timers._waiting.items() if "cleared" in ids)
        eraser = TombstoneWriter(settings)
        await eraser.start()
        await eraser.erase([Erased(place.topic, "cleared", place.partition)])
        await eraser.close()
        await publish(broker, [timer(settings, "moved", 1.2)])
        await eventually(lambda: bool(found))
        await asyncio.sleep(0.3)
    assert [id for id, _ in found] == ["moved"]


async def test_timers_that_cannot_be_published_delay_no_other_and_are_reported_once(settings, topics, monkeypatch):
    refused = []

    async def refusing(broker, records):
        (record,) = records
        if record.id == "gone":
            refused.append(record.id)
            raise UnknownTopicOrPartitionError
        if record.id == "broken":
            refused.append(record.id)
            raise ValueError("whatever")
        await publish(broker, records)

    monkeypatch.setattr(service, "publish", refusing)
    monkeypatch.setattr(service, "RETRY_AFTER", 0.05)
    wanted = [timer(settings, id, 0.1) for id in ("a", "gone", "b", "broken", "c")]
    with capture_logs() as logged:
        async with timekeeping(settings) as (keeper, _), publishing(settings) as broker, watching(settings) as found:
            await publish(broker, wanted)
            await eventually(lambda: len(found) == 3 and refused.count("gone") > 5 and refused.count("broken") > 5)
            await asyncio.sleep(0.3)
            assert len(keeper.timers) == 2
    assert sorted(id for id, _ in found) == ["a", "b", "c"]
    told = [each["error"] for each in logged if each["event"] == "timer_delivery_failed"]
    assert sorted(told) == ["UnknownTopicOrPartitionError()", "ValueError('whatever')"]


async def test_a_kafka_that_does_not_say_how_much_there_is_to_read_is_asked_again(settings, topics, monkeypatch):
    asked, real = [], AIOKafkaConsumer.beginning_offsets

    async def away_at_first(self, partitions):
        asked.append(len(asked))
        if len(asked) < 3:
            raise KafkaConnectionError("gone")
        return await real(self, partitions)

    monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", away_at_first)
    monkeypatch.setattr(table, "RETRY_AFTER", 0.05)
    async with publishing(settings) as broker, watching(settings) as found, timekeeping(settings):
        await publish(broker, [timer(settings, "t", 0.1)])
        await eventually(lambda: bool(found))
    assert len(asked) >= 3


async def test_a_kafka_that_never_answers_holds_up_neither_the_group_nor_the_end(settings, topics, monkeypatch):
    asked = asyncio.Event()

    async def silent(self, partitions):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", silent)
    async with timekeeping(settings) as (_, consumer), asyncio.timeout(20):
        await asked.wait()
        async with asyncio.timeout(1):
            await consumer.on_partitions_assigned([TopicPartition(settings.topic_prefix + "timers", 0)])
        assert consumer.loading
        began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_a_process_whose_eraser_is_refused_for_ever_ends_instead_of_firing_again_and_again(
    settings, topics, monkeypatch
):
    ended = []
    monkeypatch.setattr(bus.publishing.os, "kill", lambda pid, sent: ended.append((pid, sent)))

    async def refused(*_, **__):
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(OutOfOrderSequenceNumber())
        return failed

    async with timekeeping(settings) as (keeper, _), publishing(settings) as broker:
        monkeypatch.setattr(keeper.eraser._producer, "send", refused)
        await publish(broker, [timer(settings, "a", 0.1)])
        await eventually(lambda: ended)
    assert ended[0] == (os.getpid(), signal.SIGTERM)


async def test_timers_count_as_loading_until_partitions_were_assigned(settings, topics):
    pattern = tables(settings.topic_prefix)
    assert TableConsumer(bus.connect(settings, "test"), pattern, "g", None, settings).loading
    async with timekeeping(settings) as (_, consumer):
        await eventually(lambda: not consumer.loading)


def set_in(settings, table: str, topic: str, message, id: str, seconds: float = 0.1):
    """A timer in any table, for any topic."""
    now, prefix = datetime.now(UTC), settings.topic_prefix
    record = encode(message, id=id, source="/test", prefix=prefix, now=now)
    due = now + timedelta(seconds=seconds)
    record = record.model_copy(update={"topic": prefix + topic})
    return delay(record, due, table=table, source="/test", prefix=prefix, now=now)


DECIDED = HumanDecided(run_id="run-1", tenant="default", by="me", request_id="r", decision="approve")
PASSED = DeadlinePassed(run_id="run-1", tenant="default")


@pytest.mark.parametrize(
    ("table", "topic", "message", "code"),
    [
        ("retries.data", "decisions", DECIDED, "forbidden_target"),
        ("retries.data", "runs", PASSED, "forbidden_target"),
        ("retries.data", "agents.code", PASSED, "forbidden_target"),
        ("timers", "stops", PASSED, "forbidden_target"),
        ("timers", "results", PASSED, "forbidden_target"),
        ("timers", "runs", DECIDED, "wrong_topic"),
        ("retries.data", "agents.data", PASSED, "wrong_topic"),
    ],
)
async def test_a_timer_that_its_writer_may_not_have_delivered_is_a_dead_letter_and_is_gone(
    settings, topics, table, topic, message, code
):
    async with timekeeping(settings) as (keeper, _), publishing(settings) as broker:
        await publish(broker, [set_in(settings, table, topic, message, "forged", 3600)])
        [letter] = await records_of(settings, table + ".dlt", 1)
        await eventually(lambda: not len(keeper.timers))
    assert dict(letter.headers)["dlt-error"].decode() == code
    assert keeper.parts.metrics.dead_letters.labels(settings.topic_prefix + table, code)._value.get() == 1
    async with timekeeping(settings) as (keeper, consumer):
        await eventually(lambda: not consumer.loading)
        assert not len(keeper.timers)


async def test_a_timer_that_cannot_be_read_is_a_dead_letter_and_holds_up_no_other(settings, topics):
    async with timekeeping(settings), publishing(settings) as broker, watching(settings) as found:
        await publish_bytes(broker, settings.topic_prefix + "timers", b"t", b"no timer", {"ce_id": "x"})
        await publish(broker, [timer(settings, "good", 0.1)])
        [letter] = await records_of(settings, "timers.dlt", 1)
        await eventually(lambda: bool(found))
    assert (letter.key, letter.value) == (b"t", b"no timer")


async def test_a_good_timer_of_the_same_name_takes_the_place_of_one_that_was_refused(settings, topics, monkeypatch):
    async def unavailable(*_, **__):
        raise KafkaConnectionError("gone")

    monkeypatch.setattr(service, "write_dead_letter", unavailable)
    async with timekeeping(settings) as (keeper, _), publishing(settings) as broker, watching(settings) as found:
        await publish(broker, [set_in(settings, "timers", "stops", PASSED, "t")])
        await eventually(lambda: bool(keeper._refused))
        await publish(broker, [timer(settings, "t", 0.1)])
        await eventually(lambda: bool(found) and not len(keeper.timers))


async def test_the_handoffs_of_an_agent_that_came_after_the_timekeeper_come_back_to_it(settings, topics):
    step = handoff(agent="newcomer")
    names = declared(names=["newcomer"])
    async with timekeeping(settings) as (_, consumer), publishing(settings) as broker:
        await eventually(lambda: not consumer.loading)
        await create(settings.kafka, settings.topic_prefix, names)
        await publish(broker, [set_in(settings, "retries.newcomer", "agents.newcomer", step, step.id)])
        [back] = await records_of(settings, "agents.newcomer", 1)
    assert DoStep.read(back.value) == step
