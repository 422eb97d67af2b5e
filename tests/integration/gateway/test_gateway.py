"""The gateway over real HTTP, on a real broker, Redis and Postgres."""

import asyncio
import hashlib
import json
import time

import pytest

from schemas.task import Attachment, Task
from tests.support.embedded_kafka import EmbeddedKafka
from tests.support.gateway_fixtures import error_of, records_of, serving

pytestmark = pytest.mark.broker

TASK = {"objective": "count the orders"}
NOWHERE = "redis://127.0.0.1:1/0"


async def test_a_submitted_task_is_in_kafka_when_the_answer_comes_and_can_be_read_at_once(gateway, settings):
    answer = await gateway.post("/v1/tasks", json=TASK, params={"tenant": "shop"})
    assert answer.status_code == 202
    submitted = answer.json()
    [record] = await records_of(settings, "tasks", 1)
    headers = {name: value.decode() for name, value in record.headers}
    assert (headers["ce_id"], headers["ce_type"]) == (submitted["task_id"], "waggle.task.v1")
    assert record.key.decode() == submitted["run_id"]
    assert Task.model_validate_json(record.value) == Task(objective="count the orders", tenant="shop")
    seen = (await gateway.get(submitted["links"]["self"])).json()
    assert (seen["state"], seen["objective"], seen["task_id"]) == ("INTAKE", TASK["objective"], submitted["task_id"])
    assert error_of(await gateway.get(submitted["links"]["result"]), 409)["code"] == "not_finished"
    error_of(await gateway.get(f"/v1/runs/{submitted['run_id']}"), 404)


async def test_the_same_key_is_the_same_run_and_another_tenants_is_another(gateway):
    async def run_of(**given) -> str:
        return (await gateway.post("/v1/tasks", **given)).json()["run_id"]

    key = {"Idempotency-Key": "order-7"}
    first = await run_of(json=TASK, headers=key)
    assert await run_of(json=TASK, headers=key) == first
    assert await run_of(json=TASK | {"idempotency_key": "order-7"}) == first
    assert await run_of(json=TASK | {"tenant": "default"}, headers=key) == first
    assert await run_of(json=TASK, headers=key, params={"tenant": "shop"}) != first
    assert await run_of(json=TASK) != await run_of(json=TASK)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"objective": "x", "objectiv": "y"}', "objectiv"),
        (b'{"objective": "x", "budget": {"token": 5}}', "token"),
        (b'{"objective": "x", "budget": {"cost_usd": 1e999}}', "cost_usd"),
        (b'{"objective": "x", "budget": {"cost_usd": Infinity}}', "cost_usd"),
        (b'{"objective": "x", "budget": {"seconds": 1e12}}', "seconds"),
        (b'{"objective": "x", "context": {"data": {"n": NaN}}}', "data.n"),
        (b'{"objective": "  "}', "objective"),
        (b"{}", "objective"),
        (b'{"objective": "x", "deadline": "soon"}', "deadline"),
        (b'{"objective": "x", "shape": "single"}', "agent"),
        (b'{"objective": "\\ud800"}', "objective"),
        (b"{not json", "JSON"),
        (b"[]", "body"),
        (b"", "body"),
        (b'{"objective": "x", "tenant": "Not A Slug"}', "tenant"),
    ],
)
async def test_a_task_that_does_not_fit_is_refused_with_what_is_wrong(gateway, body, said):
    answer = await gateway.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    assert said in error_of(answer, 422)["message"]


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b'{"objective": ' + b"9" * 5_000 + b"}"])
async def test_bytes_that_are_no_json_a_machine_can_take_are_the_senders_mistake(gateway, body):
    answer = await gateway.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer, answer.status_code)
    assert answer.status_code in {400, 422}


async def test_a_request_that_contradicts_its_task_is_refused(gateway):
    inside = TASK | {"tenant": "shop", "idempotency_key": "a"}
    answer = await gateway.post("/v1/tasks", json=inside, params={"tenant": "bank"})
    assert "tenant" in error_of(answer, 422)["message"]
    answer = await gateway.post("/v1/tasks", json=inside, headers={"Idempotency-Key": "b"})
    assert "idempotency_key" in error_of(answer, 422)["message"]
    assert (
        "Idempotency-Key"
        in error_of(await gateway.post("/v1/tasks", json=TASK, headers={"Idempotency-Key": "with space"}), 422)[
            "message"
        ]
    )


async def test_a_task_too_large_is_refused_declared_streamed_or_grown_by_encoding(settings, topics, redis):
    limit = 20_000

    async def pieces():
        for _ in range(100):
            yield b" " * 1_000

    async with serving(settings.model_copy(update={"max_message_bytes": limit})) as client:
        json_type = {"Content-Type": "application/json"}
        for body in (b" " * (limit + 1), pieces()):
            answer = await client.post("/v1/tasks", content=body, headers=json_type)
            assert error_of(answer, 413)["code"] == "too_large"
        short = json.dumps(TASK | {"constraints": ["x" * 19_900]})
        assert len(short) < limit
        key = {"Idempotency-Key": "k" * 200}
        error_of(await client.post("/v1/tasks", content=short, headers=json_type | key), 413)
        assert (await client.post("/v1/tasks", json=TASK)).status_code == 202


async def test_the_callers_trace_continues_in_the_task(gateway, settings):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await gateway.post("/v1/tasks", json=TASK, headers={"traceparent": parent})
    [record] = await records_of(settings, "tasks", 1)
    trace = dict(record.headers)["traceparent"].decode()
    assert trace.split("-")[1] == parent.split("-")[1]
    assert trace != parent


async def test_without_kafka_nothing_is_accepted_and_nothing_is_left_behind(settings, redis):
    broker = EmbeddedKafka(f"{settings.topic_prefix}tasks:1")
    async with serving(settings.model_copy(update={"kafka": broker.bootstrap})) as client:
        assert (await client.get("/ready")).status_code == 200
        assert (await client.post("/v1/tasks", json=TASK)).status_code == 202
        marks = await redis.keys("*submitted*")
        broker.close()
        started = time.monotonic()
        answer = await client.post("/v1/tasks", json=TASK)
        assert time.monotonic() - started < 10
        error = error_of(answer, 503)
        assert (error["code"], error["retryable"]) == ("kafka_unavailable", True)
        assert answer.headers["retry-after"]
        assert await redis.keys("*submitted*") == marks
        assert error_of(await client.get("/v1/topics"), 503)["retryable"]


async def test_without_redis_reading_is_refused_as_passing_and_a_task_is_accepted_all_the_same(settings, topics):
    async with serving(settings.model_copy(update={"redis": NOWHERE})) as client:
        for path in ("/v1/runs", "/v1/runs/run-1", "/v1/runs/run-1/events", "/v1/agents", "/v1/topics"):
            assert error_of(await client.get(path), 503)["retryable"]
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/live")).status_code == 200
        assert (await client.post("/v1/tasks", json=TASK)).status_code == 202
        assert len(await records_of(settings, "tasks", 1)) == 1


async def test_without_postgres_files_are_refused_as_passing(settings, topics, redis):
    dead = settings.model_copy(update={"postgres": "postgresql://waggle@127.0.0.1:1/waggle"})
    async with serving(dead) as client:
        assert error_of(await client.post("/v1/files?name=a", content=b"x"), 503)["retryable"]
        assert error_of(await client.get(f"/v1/files/{'0' * 64}"), 503)["retryable"]


async def test_a_file_comes_back_as_it_went_in_and_only_to_its_tenant(gateway):
    content = b"a,b\n1,\xff\x00\n"
    answer = await gateway.post("/v1/files?name=orders.csv", content=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201
    attachment = Attachment.model_validate(answer.json())
    sha256 = hashlib.sha256(content).hexdigest()
    assert (attachment.name, attachment.size) == ("orders.csv", len(content))
    assert (attachment.media_type, attachment.uri) == ("text/csv", f"blob:{sha256}")
    back = await gateway.get(f"/v1/files/{sha256}")
    assert (back.content, back.headers["content-type"]) == (content, "text/csv")
    assert back.headers["content-disposition"] == "attachment"
    assert back.headers["x-content-type-options"] == "nosniff"
    error_of(await gateway.get(f"/v1/files/{sha256}?tenant=shop"), 404)
    task = TASK | {"context": {"attachments": [answer.json()]}}
    assert (await gateway.post("/v1/tasks", json=task)).status_code == 202


@pytest.mark.parametrize("sha256", ["0" * 64, "x", "%00", "..%2f..", "0" * 64 + "%00"])
async def test_an_unknown_file_is_not_found(gateway, sha256):
    error_of(await gateway.get(f"/v1/files/{sha256}"), 404)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "x" * 201, "%00"])
async def test_a_file_without_a_proper_name_is_refused_before_it_is_read(gateway, name):
    assert "name" in error_of(await gateway.post(f"/v1/files?name={name}", content=b"x"), 422)["message"]


async def test_a_file_too_large_is_refused_while_it_is_still_being_sent(settings, topics, redis):
    async with serving(settings.model_copy(update={"max_attachment_bytes": 100_000})) as client:
        answer = await client.post("/v1/files?name=big", content=b"x" * 100_001)
        assert error_of(answer, 413)["code"] == "too_large"
        assert (await client.post("/v1/files?name=fits", content=b"x" * 100_000)).status_code == 201
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST /v1/files?name=endless HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(2 * (b"10000\r\n" + b"x" * 0x10000 + b"\r\n"))
        head = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    assert head.split()[1] == b"413"


async def test_it_says_how_it_is_and_what_it_can(gateway):
    assert (await gateway.get("/live")).text == "live"
    assert (await gateway.get("/ready")).text == "ready"
    assert "process_cpu_seconds_total" in (await gateway.get("/metrics")).text
    described = (await gateway.get("/openapi.json")).json()
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) >= 30
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        for status in operation["responses"].keys() - {"200", "201", "202"}:
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Failure"}
    assert error_of(await gateway.get("/v2/nothing"), 404)["code"] == "not_found"
    assert error_of(await gateway.delete("/v1/runs"), 405)["code"] == "method_not_allowed"


async def test_no_other_site_may_read_it_from_a_browser(gateway):
    answer = await gateway.get("/v1/runs", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
