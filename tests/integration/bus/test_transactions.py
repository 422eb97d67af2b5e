"""Aborted records are never obeyed, and the markers of transactions in a log block no reader."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.stop import WorkStopped
from schemas.timer import TimerSet
from shared import bus
from shared.bus.admin import newest, read_topic, reading, topics_with_lag
from shared.service.kill_switch import KillSwitch
from tests.support.consuming import consuming, question, record, until
from tests.support.keeping_time import timekeeping

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def transactions(request):
    if request.config.getoption("kafka") != "real":
        pytest.skip("the embedded broker writes no marks of transactions: --kafka real")


@asynccontextmanager
async def transaction(settings, *records, partition=0, commit=True):
    """Records in one transaction, which ends with the block."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"shop-{uuid4().hex}")
    async with producer:
        await producer.begin_transaction()
        for each in records:
            headers = [(name, value.encode()) for name, value in each.headers.items()]
            await producer.send_and_wait(each.topic, each.value.encode(), each.key.encode(), partition, headers=headers)
        yield
        await (producer.commit_transaction() if commit else producer.abort_transaction())


async def test_an_aborted_record_is_not_worked_on_and_a_committed_one_is_once_it_is(settings, topics):
    seen = []

    async def handle(delivery):
        seen.append(delivery.message.id)

    async with consuming(settings, handle) as (broker, consumer):
        async with transaction(settings, record(question(1), settings.topic_prefix), commit=False):
            await asyncio.sleep(0.5)
        async with transaction(settings, record(question(2), settings.topic_prefix)):
            await asyncio.sleep(0.5)
            assert seen == []
        await bus.publish(broker, [record(question(3, "run-3"), settings.topic_prefix)])
        await until(lambda: len(seen) == 2)
        assert sorted(seen) == ["q2", "q3"]
        await until(lambda: consumer.commits.lag() and set(consumer.commits.lag().values()) == {0})
        groups = {settings.topic_prefix + "runs": [settings.topic_prefix + "g"]}
        async with asyncio.timeout(20):
            while [g.lag for t in await topics_with_lag(settings, groups) for g in t.groups] != [0]:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("commit", [True, False])
async def test_a_log_that_ends_with_a_mark_is_read_to_its_end(settings, topics, commit):
    plain = record(question(1), settings.topic_prefix)
    async with transaction(settings, plain):
        pass
    async with transaction(settings, record(question(2), settings.topic_prefix), commit=commit):
        pass
    expected = ["q1", "q2"] if commit else ["q1"]
    async with asyncio.timeout(30):
        found = [each async for partition in read_topic(settings, "runs") for each in partition]
        async with reading(settings, lambda topic: topic == "runs") as past:
            partition = TopicPartition(settings.topic_prefix + "runs", 0)
            assert (await past.bounds(partition))[1] == 4
        assert await newest(settings, "runs") is not None
    assert [dict(each.headers)["ce_id"].decode() for each in found] == expected


async def test_a_stop_that_was_aborted_stops_nothing_and_one_behind_a_mark_is_obeyed(settings, topics):
    def order(scope):
        stop = WorkStopped(scope=scope, by="eva", reason="enough", at=datetime.now(UTC))
        return bus.encode(
            stop, id=scope, source="/test", prefix=settings.topic_prefix, now=datetime.now(UTC), key=scope
        )

    async with transaction(settings, order("tenant:b")):
        pass
    async with transaction(settings, order("tenant:a"), commit=False):
        pass
    stops = KillSwitch(settings)
    following = asyncio.create_task(stops.follow())
    await asyncio.wait_for(stops.wait_loaded(), 20)
    following.cancel()
    assert [each.scope for each in stops] == ["tenant:b"]


async def test_a_table_whose_log_ends_with_a_mark_is_loaded(settings, topics):
    timer = TimerSet(due=datetime(2100, 1, 1, tzinfo=UTC), topic="runs", key="k", headers={}, value="{}")
    made = bus.encode(timer, id="t1", source="/test", prefix=settings.topic_prefix, now=datetime.now(UTC), key="t1")
    async with transaction(settings, made):
        pass
    async with transaction(settings, made, commit=False, partition=1):
        pass
    async with asyncio.timeout(30), timekeeping(settings) as (_, consumer):
        while consumer.loading:
            await asyncio.sleep(0.05)
