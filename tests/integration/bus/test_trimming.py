"""Clear records of forgotten runs, deleted from Apache Kafka where all groups have passed them; reported elsewhere."""

from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.task import Result, Task
from shared import bus
from shared.bus import encode, publish
from shared.bus.admin import stream
from shared.bus.admin.trimming import clear_records, trim
from shared.runs import run_id_for

pytestmark = pytest.mark.broker

GONE, OTHER = run_id_for("acme", "one"), run_id_for("acme", "two")


async def write(settings, *messages, **about) -> None:
    broker = bus.connect(settings, "test")
    await broker.start()
    named = {"source": "/shop", "prefix": settings.topic_prefix, "now": datetime.now(UTC), "key": GONE}
    await publish(broker, [encode(each, id=f"one-{n}", **named | about) for n, each in enumerate(messages)])
    await broker.stop()


def result(run: str) -> Result:
    now = datetime.now(UTC)
    about = {"run_id": run, "task_id": "one", "tenant": "acme", "started": now, "finished": now}
    return Result(status="complete", answer="There are 17.", **about)


async def passed(settings, topic: str, group: str, *, but: int = 0) -> None:
    """Let a consumer group pass every record of the topic except the last ones of each partition."""
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic,
        bootstrap_servers=settings.kafka,
        group_id=settings.topic_prefix + group,
        enable_auto_commit=False,
    )
    await consumer.start()
    ends = await consumer.end_offsets(consumer.assignment())
    await consumer.commit({place: max(0, end - but) for place, end in ends.items()})
    await consumer.stop()


async def runs_in(settings, topic: str) -> set[str]:
    return {each.key.decode() async for batch in stream(settings, topic) for each in batch}


async def place_of(settings, topic: str, run: str) -> TopicPartition:
    [found] = [each async for batch in stream(settings, topic) for each in batch if each.key.decode() == run]
    return TopicPartition(found.topic, found.partition)


async def test_results_of_a_forgotten_run_are_deleted_once_every_group_has_passed_them(settings, topics, request):
    deletes = request.config.getoption("kafka") == "real"  # the embedded broker knows no DeleteRecords
    await write(settings, result(GONE))
    await write(settings, result(OTHER), key=OTHER)
    [left] = await clear_records(settings, {GONE})
    assert (left.topic, left.number, left.last) == ("results", 1, {await place_of(settings, "results", GONE): 1})
    await trim(settings, [left])
    assert not left.deleted, "no group has passed it"
    await passed(settings, "results", "shop")
    await passed(settings, "results", "bank", but=1)
    await trim(settings, [left])
    assert not left.deleted, "one group has not"
    assert await runs_in(settings, "results") == {GONE, OTHER}
    if deletes:
        assert left.until > datetime.now(UTC)
    await passed(settings, "results", "bank")
    await trim(settings, [left])
    assert left.deleted is deletes
    assert await runs_in(settings, "results") == ({OTHER} if deletes else {GONE, OTHER})
    assert [each.number for each in await clear_records(settings, {GONE})] == ([] if deletes else [1])


async def test_a_task_that_its_caller_wrote_in_the_clear_is_found_by_the_run_that_it_became(settings, topics):
    task = Task(objective="Count the herons", tenant="acme", idempotency_key="one")
    await write(settings, task, task.model_copy(update={"idempotency_key": "two"}))
    [left] = await clear_records(settings, {GONE})
    assert (left.topic, left.number) == ("tasks", 1)
    assert [each.topic for each in await clear_records(settings, {OTHER})] == ["tasks"]
