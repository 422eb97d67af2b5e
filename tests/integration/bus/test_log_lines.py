"""Each line about a message names its run, for every outcome of the message."""

import asyncio
import re
from collections import Counter

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from infra import topics as declared_topics
from shared.bus import publish
from shared.errors import RetryableError, TerminalError
from shared.service.rebuild import rebuild
from tests.support.consuming import consuming, question, record, until
from tests.support.embedded_kafka import EmbeddedKafka
from tests.support.lines import logging_as

pytestmark = pytest.mark.broker

VARIES = re.compile(r"\d+")
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (KafkaConnectionError("away"), "dependency_unavailable"),
        (RetryableError("not yet", after=0.01), "retry_scheduled"),
        (TerminalError("no use", code="no_use"), "dead_lettered"),
        (KeyError("a defect"), "handler_failed"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
async def test_a_line_about_a_failure_says_whose_message_it_was(settings, topics, failure, said):
    tries, sent = [], record(question(1), settings.topic_prefix)
    traced = sent.model_copy(update={"headers": sent.headers | {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}})

    async def handle(delivery):
        tries.append(1)
        if len(tries) == 1:
            raise failure

    with logging_as("test") as lines:
        async with consuming(settings, handle) as (broker, _):
            await publish(broker, [traced])
            await until(lambda: any(line["event"] == said for line in lines()))
    [line] = [line for line in lines() if line["event"] == said]
    assert (line["run"], line["tenant"], line["service"], line["trace_id"]) == ("run-1", "default", "test", TRACE)


async def test_log_lines_of_a_rebuild_have_the_common_form(settings, topics, sentinel):
    with logging_as("orchestrator") as lines:
        await rebuild(sentinel, settings)
    said = [line for line in lines() if line["event"] in {"rebuild_started", "rebuild_runs_read", "blackboard_rebuilt"}]
    assert [line["service"] for line in said] == ["orchestrator"] * 2, (
        f"where there are no runs, none are counted: {said}"
    )


async def test_every_rebuild_reports_its_end_also_shortly_after_another(settings, topics, sentinel):
    with logging_as("orchestrator") as lines:
        await rebuild(sentinel, settings)
        await rebuild(sentinel, settings)
    assert [line["event"] for line in lines()].count("blackboard_rebuilt") == 2


async def test_a_delivery_that_waits_for_an_outage_is_counted_when_it_is_done(settings, topics):
    registry, before = CollectorRegistry(), []

    def counted(name):
        return registry.get_sample_value(name, {"topic": settings.topic_prefix + "runs"})

    async def handle(delivery):
        before.append(counted("waggle_delivery_duration_seconds_count"))
        if len(before) < 3:
            raise KafkaConnectionError("away")

    async with consuming(settings, handle, registry=registry) as (broker, _):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: counted("waggle_delivery_duration_seconds_count") == 1)
    assert (before, counted("waggle_outages_total")) == ([None] * 3, 2)


async def test_a_broker_that_goes_away_is_a_handful_of_lines_and_not_seventy_a_second(settings):
    broker = EmbeddedKafka()
    mine = settings.model_copy(update={"kafka": broker.bootstrap})
    await declared_topics.create(mine.kafka, mine.topic_prefix, declared_topics.declared())

    async def handle(delivery):
        pass

    with logging_as("test") as lines:
        async with consuming(mine, handle) as (_, consumer):
            await until(lambda: consumer.joined)
            broker.close()
            await asyncio.sleep(5)
            causes = Counter((line.get("logger"), VARIES.sub("#", line["event"])) for line in lines())
    assert any(logger and logger.startswith("aiokafka") for logger, _ in causes), "its client has noticed"
    assert max(causes.values()) == 1, causes
    assert len(lines()) < 30
