"""Send spans, made by the instrumentation of aiokafka: one for each message, and none for records of logs."""

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared import bus
from shared.bus import publish
from shared.bus.publishing import publish_bytes
from shared.telemetry import traces
from tests.support.consuming import question, record

LIBRARY = "opentelemetry.instrumentation.aiokafka"
UPSTREAM = {"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture
async def broker(settings, topics):
    broker = bus.connect(settings, "test")
    await broker.start()
    yield broker
    await broker.stop()


async def traceparents(settings, topic: str, count: int = 1) -> list[list[str]]:
    """The trace contexts in the headers of the topic's first records."""
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic, bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
    )
    async with consumer:
        records = [await consumer.getone() for _ in range(count)]
    return [[value.decode() for name, value in each.headers if name == "traceparent"] for each in records]


async def test_a_message_has_one_send_span_under_the_id_in_its_only_trace_header(exported, broker, settings):
    received, _, provider = exported()
    with traces.processing(UPSTREAM, {}, "tasks"):
        sent = [record(question(n), settings.topic_prefix) for n in (1, 2)]
        await publish(broker, sent)
    provider.force_flush()
    [process] = [span for span in received.spans if span.name == "process tasks"]
    spans = {span.id: span for span in received.spans if span.scope == LIBRARY}
    headers = await traceparents(settings, "runs", 2)
    assert [len(each) for each in headers] == [1, 1]
    assert sorted(each[0].split("-")[2] for each in headers) == sorted(spans)
    for span in spans.values():
        assert (span.name, span.parent) == (f"send {sent[0].topic}", process.id)
        assert span.attributes["messaging.operation.type"] == "send"
        assert span.attributes["messaging.message.id"] in {each.id for each in sent}
        assert span.end > span.start


async def test_a_record_of_a_log_has_no_span(exported, broker, settings):
    received, _, provider = exported()
    with traces.processing(UPSTREAM, {}, "tasks"):
        await publish(broker, [record(question(1), settings.topic_prefix).model_copy(update={"parent": None})])
    provider.force_flush()
    assert [span.name for span in received.spans] == ["process tasks"]


@pytest.mark.parametrize("flags", ["01", "00"])
async def test_a_dead_letter_continues_the_trace_of_what_died(exported, broker, settings, flags):
    received, _, provider = exported()
    upstream = {"traceparent": UPSTREAM["traceparent"][:-2] + flags.encode()}
    with traces.processing(upstream, {}, "runs") as span:
        await publish_bytes(broker, settings.topic_prefix + "runs.dlt", b"k", b"v", {"a": "b"})
        traces.failed(span, "boom", "it failed")
    provider.force_flush()
    [[traceparent]] = await traceparents(settings, "runs.dlt")
    assert {span.trace for span in received.spans} == {traceparent.split("-")[1]}
    [sent] = [span for span in received.spans if span.scope == LIBRARY]
    assert traceparent.split("-")[2:] == [sent.id, flags]


async def test_a_send_that_kafka_refuses_is_marked(exported, broker, settings):
    received, _, provider = exported()
    with traces.processing(UPSTREAM, {}, "runs"), pytest.raises(KafkaError):
        await publish_bytes(broker, settings.topic_prefix + "runs.dlt", b"k", b"x" * 10_000_000, {})
    provider.force_flush()
    [sent] = [span for span in received.spans if span.scope == LIBRARY]
    assert sent.failed
    assert sent.attributes["error.type"]
