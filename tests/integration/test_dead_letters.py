"""Dead letters on a real broker: listed, shown, put back once, thrown away, over HTTP and by name."""

import asyncio
import base64
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from gateway_fixtures import serving

from shared.bus.dead_letters import SUFFIX, dead_letter_headers
from shared.errors import TerminalError

VALUE = b'{"objective": "x", "tenant": "acme", "colour": "red"}'
HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"t1"),
    ("ce_type", b"waggle.task.v1"),
    ("x-bytes", b"\xff\xfe"),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def producer(settings, topics):
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        yield producer


async def bury(producer, settings, *, value=VALUE, code="invalid_payload", topic="tasks") -> None:
    record = SimpleNamespace(
        topic=settings.topic_prefix + topic, partition=2, offset=7, key=b"k", headers=HEADERS, value=value
    )
    error = TerminalError("colour: unknown", code=code)
    told = dead_letter_headers(record, error, service="orchestrator", attempts=2, now=datetime.now(UTC))
    headers = [(name, each.encode()) for name, each in told.items()]
    await producer.send_and_wait(record.topic + SUFFIX, value, key=b"k", headers=headers)


async def listed(gateway, **params) -> list[dict]:
    answer = await gateway.get("/v1/dead-letters", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def arrived(settings, count: int) -> list:
    """What stands on `tasks`."""
    async with AIOKafkaConsumer(
        settings.topic_prefix + "tasks", bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
    ) as consumer:
        found: list = []
        while batch := await consumer.getmany(timeout_ms=3_000 if len(found) < count else 300):
            found += [record for records in batch.values() for record in records]
    return found


async def test_they_are_listed_newest_first_by_topic_error_tenant_and_time(gateway, producer, settings):
    await bury(producer, settings)
    between = datetime.now(UTC).isoformat()
    await bury(producer, settings, code="too_large")
    await bury(producer, settings, value=b"\xff", topic="runs", code="defect")
    assert [each["error"] for each in await listed(gateway)] == ["defect", "too_large", "invalid_payload"]
    assert [each["error"] for each in await listed(gateway, topic="tasks")] == ["too_large", "invalid_payload"]
    assert [each["error"] for each in await listed(gateway, tenant="acme", error="too_large")] == ["too_large"]
    assert [each["error"] for each in await listed(gateway, until=between)] == ["invalid_payload"]
    assert len(await listed(gateway, since=between)) == 2
    assert len(await listed(gateway, limit=1)) == 1


async def test_one_is_shown_with_its_bytes_its_headers_and_its_trace(gateway, producer, settings):
    await bury(producer, settings)
    await bury(producer, settings, value=b"\xff\xfe", topic="runs")
    names = {each["topic"]: each["name"] for each in await listed(gateway)}
    letter = (await gateway.get(f"/v1/dead-letters/{names['tasks']}")).json()
    assert (letter["text"], letter["base64"], letter["partition"], letter["offset"]) == (VALUE.decode(), None, 2, 7)
    assert (letter["attempts"], letter["service"], letter["tenant"]) == (2, "orchestrator", "acme")
    assert letter["headers"]["ce_id"] == "t1"
    assert letter["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    bytes_only = (await gateway.get(f"/v1/dead-letters/{names['runs']}")).json()
    assert base64.b64decode(bytes_only["base64"]) == b"\xff\xfe"
    for unknown in ("tasks.dlt/0/99999", "tasks/0/0", "nonsense"):
        assert (await gateway.get(f"/v1/dead-letters/{unknown}")).status_code == 404


async def test_a_redriven_record_is_the_original_byte_for_byte_linked_to_its_trace_and_goes_back_once(
    gateway, producer, settings
):
    await bury(producer, settings)
    name = (await listed(gateway))[0]["name"]
    order = {"name": name, "by": "ada", "reason": "fixed"}
    assert (await gateway.post("/v1/dead-letters/redrive", json=order)).json()["names"] == [name]
    (record,) = await arrived(settings, 1)
    headers = dict(record.headers)
    assert (record.value, record.key, headers["ce_id"], headers["x-bytes"]) == (VALUE, b"k", b"t1", b"\xff\xfe")
    assert (headers["redriven-from"].decode(), headers["redriven-by"]) == (name, b"ada")
    assert b"0af7651916cd43dd8448eb211c80319c" not in headers.get("traceparent", b"")
    again = await gateway.post("/v1/dead-letters/redrive", json=order | {"by": "bob"})
    assert again.status_code == 409
    assert "ada" in again.json()["error"]["message"]
    assert len(await arrived(settings, 1)) == 1
    assert await listed(gateway) == []
    (done,) = await listed(gateway, state="handled")
    assert (done["handled"]["action"], done["handled"]["by"], done["handled"]["reason"]) == ("redriven", "ada", "fixed")


async def test_many_go_back_by_description_rate_limited_after_a_dry_run(gateway, producer, settings):
    for _ in range(3):
        await bury(producer, settings)
    await bury(producer, settings, code="too_large")
    order = {"by": "ada", "error": "invalid_payload", "rate": 100}
    dry = (await gateway.post("/v1/dead-letters/redrive", json=order | {"dry_run": True})).json()
    assert (len(dry["names"]), dry["dry_run"]) == (3, True)
    assert len(await listed(gateway)) == 4
    assert sorted((await gateway.post("/v1/dead-letters/redrive", json=order)).json()["names"]) == sorted(dry["names"])
    assert [each["error"] for each in await listed(gateway)] == ["too_large"]
    assert len(await arrived(settings, 3)) == 3


async def test_a_discarded_one_needs_a_reason_and_is_open_no_more(gateway, producer, settings):
    await bury(producer, settings)
    name = (await listed(gateway))[0]["name"]
    assert (await gateway.post("/v1/dead-letters/discard", json={"name": name, "by": "ada"})).status_code == 422
    answer = await gateway.post("/v1/dead-letters/discard", json={"name": name, "by": "ada", "reason": "a test"})
    assert answer.status_code == 200, answer.text
    assert await listed(gateway) == []
    redriven = await gateway.post("/v1/dead-letters/redrive", json={"name": name, "by": "ada"})
    assert (redriven.status_code, await arrived(settings, 0)) == (409, [])


async def test_two_who_redrive_the_same_at_once_put_it_back_once(gateway, producer, settings):
    await bury(producer, settings)
    name = (await listed(gateway))[0]["name"]
    answers = await asyncio.gather(
        *(gateway.post("/v1/dead-letters/redrive", json={"name": name, "by": f"p{n}"}) for n in range(4))
    )
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]
    assert len(await arrived(settings, 1)) == 1


async def test_a_record_that_nobody_of_us_wrote_is_left_out(gateway, producer, settings):
    await producer.send_and_wait(settings.topic_prefix + "tasks.dlt", b"{}", headers=[("dlt-topic", b"x")])
    await bury(producer, settings)
    (letter,) = await listed(gateway)
    assert (await gateway.get(f"/v1/dead-letters/{letter['name']}")).json()["key"] == "k"
