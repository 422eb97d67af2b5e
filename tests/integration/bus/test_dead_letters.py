"""Dead letters on a real broker: found, shown, put back as they were, given up, and never twice."""

import asyncio
import base64
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from infra import topics as declared_topics
from schemas.dead import DeadLetterHandled
from schemas.plan import AgentCard
from schemas.task import Task
from services.gateway.dead_letters import letter_lock
from services.orchestrator.service import Orchestrator
from services.orchestrator.settings import OrchestratorSettings
from shared import bus
from shared.blackboard import announce, keys
from shared.blackboard.listing import RunIndex, Wanted
from shared.bus import Deliverer, KeyedConsumer, decode, encode
from shared.bus.dead import redrive, search
from shared.bus.dead_letter import dead_letter_headers
from shared.errors import TerminalError
from shared.service import connect
from shared.telemetry.metrics import Metrics
from shared.telemetry.propagation import ChosenIds
from shared.telemetry.sends import instrument, stop_instrumenting
from tests.support.embedded_kafka import EmbeddedKafka
from tests.support.gateway_fixtures import error_of, records_of, serving

pytestmark = pytest.mark.broker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def producer(settings, topics):
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, max_request_size=9_000_000) as running:
        yield running


@pytest.fixture
def bury(settings, producer):
    """Put a dead letter where the bus would have put it; gives its name."""
    return partial(put, producer, settings)


async def put(
    producer,
    settings,
    topic="tasks",
    value=b'{"objective": "x"}',
    key=b"k",
    headers=None,
    code="defect",
    at=None,
    place=0,
    **more,
):
    headers = [("ce_id", b"t1"), ("traceparent", TRACE.encode())] if headers is None else headers
    record = SimpleNamespace(
        topic=settings.topic_prefix + topic, partition=place, offset=3, key=key, value=value, headers=headers
    )
    notes = dead_letter_headers(
        record, TerminalError("no use", code=code), service="orchestrator", attempts=3, now=datetime.now(UTC)
    )
    sent = [(name, each.encode()) for name, each in (notes | more).items()]
    at_ms = None if at is None else int(at.timestamp() * 1000)
    meta = await producer.send_and_wait(record.topic + ".dlt", value, key, 0, at_ms, sent)
    return f"{topic}.dlt/0/{meta.offset}"


async def listed(gateway, **filters):
    answer = await gateway.get("/v1/dead-letters", params=filters)
    assert answer.status_code == 200, answer.text
    return [line["name"] for line in answer.json()["letters"]]


def lines(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def act(gateway, name, verb, **order):
    return await gateway.post(f"/v1/dead-letters/{name}/{verb}", json={"by": "ada"} | order)


async def act_on_many(gateway, verb, letters=None, **order):
    return await gateway.post(f"/v1/dead-letters/{verb}", json={"by": "ada", "letters": letters or {}} | order)


async def count(gateway, settings, topic="tasks"):
    """Number of records in a topic."""
    topics = {each["topic"]: each["messages"] for each in (await gateway.get("/v1/topics")).json()}
    return topics[settings.topic_prefix + topic]


@pytest.fixture
def sent_spans():
    """Send spans that this process has finished."""
    spans, provider = InMemorySpanExporter(), TracerProvider(id_generator=ChosenIds())
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrument(provider)
    yield spans
    stop_instrumenting()


async def test_a_redriven_record_is_what_it_was_in_its_old_trace_and_says_where_it_comes_from(
    gateway, bury, settings, sent_spans
):
    headers = [("ce_id", b"t1"), ("twice", b"1"), ("twice", b"\xff\x00"), ("traceparent", TRACE.encode())]
    headers.append(("tracestate", b"old=1"))
    name = await bury(value=b"\xff\x00 not json", key=b"\xfe", headers=headers, place=2)
    answer = await act(gateway, name, "redrive")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["action"], answer.json()["by"]) == ("redriven", "ada")
    [record] = await records_of(settings, "tasks", 1)
    assert (record.value, record.key, record.partition) == (b"\xff\x00 not json", b"\xfe", 2)
    assert list(record.headers[:3]) == headers[:3]
    put = dict(record.headers)
    assert sorted(name for name, _ in record.headers[3:]) == [
        "redriven-by",
        "redriven-from",
        "traceparent",
        "tracestate",
    ]
    assert (put["redriven-from"], put["redriven-by"]) == (name.encode(), b"ada")
    [span] = sent_spans.get_finished_spans()
    _, trace_id, span_id, _ = TRACE.split("-")
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (trace_id, span_id)
    assert put["traceparent"].decode() == f"00-{trace_id}-{span.context.span_id:016x}-01"
    assert put["tracestate"] == b"old=1"


async def test_a_redriven_record_has_all_its_attempts_again(gateway, bury, settings):
    headers = [("ce_id", b"t1"), ("ce_attempt", b"8"), ("Waggle-Causes", b'["busy: x"]'), ("own", b"1")]
    await act(gateway, await bury(headers=headers), "redrive")
    [record] = await records_of(settings, "tasks", 1)
    put = dict(record.headers)
    assert list(record.headers[:2]) == [("ce_id", b"t1"), ("own", b"1")]
    assert not {"ce_attempt", "Waggle-Causes", "waggle-causes"} & put.keys()


async def test_a_record_without_key_and_headers_is_put_back_without(gateway, bury, settings):
    name = await bury(key=None, headers=[], value=b"")
    assert (await act(gateway, name, "redrive")).status_code == 200
    [record] = await records_of(settings, "tasks", 1)
    assert (record.value, record.key) == (b"", None)
    assert {header for header, _ in record.headers} == {"redriven-from", "redriven-by", "traceparent"}


async def test_a_second_redrive_says_who_did_the_first_and_can_be_insisted_on_with_a_reason(gateway, bury, settings):
    name = await bury()
    first = (await act(gateway, name, "redrive", by="grace", reason="fixed")).json()
    error = error_of(await act(gateway, name, "redrive"), 409)
    assert error["code"] == "already_handled"
    assert all(said in error["message"] for said in (name, "redriven by grace", first["at"][:10], "fixed"))
    assert "again" in error["suggested_action"]
    assert error_of(await act(gateway, name, "discard", reason="r"), 409)["code"] == "already_handled"
    assert "reason" in error_of(await act(gateway, name, "redrive", again=True, reason=" "), 422)["message"]
    assert await count(gateway, settings) == 1
    assert (await act(gateway, name, "redrive", again=True, reason="lost downstream")).status_code == 200
    assert await count(gateway, settings) == 2
    shown = (await gateway.get(f"/v1/dead-letters/{name}")).json()
    assert (shown["handled"]["by"], shown["handled"]["reason"]) == ("ada", "lost downstream")


async def test_a_discarded_one_needs_a_reason_and_is_open_no_more(gateway, bury, settings):
    name, other = await bury(), await bury()
    assert "reason" in error_of(await act(gateway, name, "discard"), 422)["message"]
    assert (await act(gateway, name, "discard", reason="a test of theirs")).json()["reason"] == "a test of theirs"
    assert await listed(gateway) == [other]
    assert await listed(gateway, state="discarded") == [name]
    assert await listed(gateway, state="any") == [other, name]
    error = error_of(await act(gateway, name, "redrive"), 409)
    assert "discarded by ada" in error["message"]
    assert await count(gateway, settings) == 0


async def test_of_many_operators_at_once_one_puts_it_back(gateway, bury, settings, redis):
    name = await bury()
    async with serving(settings) as other:
        both = [gateway, other] * 5
        answers = await asyncio.gather(*(act(each, name, "redrive", by=f"op{n}") for n, each in enumerate(both)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 9, [answer.text for answer in answers]
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409}
    assert refused <= {"busy", "already_handled"}
    assert await count(gateway, settings) == 1
    assert await redis.keys("waggle:dead:*") == []


async def test_a_letter_held_by_another_operator_is_refused_as_temporary_and_left_untouched(
    gateway, bury, settings, redis
):
    name = await bury()
    await redis.set(keys.dead_letter(name), "another", px=60_000)
    error = error_of(await act(gateway, name, "redrive"), 409)
    assert (error["code"], error["retryable"]) == ("busy", True)
    assert await redis.get(keys.dead_letter(name)) == "another"
    [_, line] = lines(await act_on_many(gateway, "redrive"))
    assert (line["outcome"], line["error"]["code"]) == ("skipped", "busy")
    assert await count(gateway, settings) == 0


async def test_a_crash_before_the_record_leaves_it_open_and_its_consumer_drops_the_repeat(
    gateway, bury, settings, redis, monkeypatch
):
    await announce(redis, AgentCard(name="data", description="tables"))
    task = encode(
        Task(objective="count", shape="single", agent="data"), id="t-7", source="/x", prefix="", now=datetime.now(UTC)
    )
    name = await bury(value=task.value.encode(), headers=[(n, v.encode()) for n, v in task.headers.items()])

    async def dies(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as crash:
        crash.setattr(redrive.Redriver, "_record", dies)
        with pytest.raises(asyncio.CancelledError):
            async with redrive.redriver(settings, letter_lock(redis)) as desk:
                await desk.redrive(name, "ada")
    assert await listed(gateway) == [name]
    assert (await act(gateway, name, "redrive")).status_code == 200
    once, repeat = await records_of(settings, "tasks", 2)
    parts = connect("orchestrator", settings, OrchestratorSettings(unsigned_decisions="accept"))
    await parts.broker.start()
    orchestrator = Orchestrator.of(parts)
    await orchestrator.handle(decode(once, settings.topic_prefix))
    [run] = (await RunIndex(parts.sentinel).find("default", Wanted(), 10)).runs
    before = (await parts.runs.load("default", run.run_id)).run
    await orchestrator.handle(decode(repeat, settings.topic_prefix))
    assert (await parts.runs.load("default", run.run_id)).run == before
    assert len((await RunIndex(parts.sentinel).find("default", Wanted(), 10)).runs) == 1
    await parts.broker.stop()
    await parts.close()


async def test_one_that_fails_again_is_a_new_dead_letter_that_says_which_it_was(gateway, bury, settings):
    broker = bus.connect(settings, "test")
    died = asyncio.Event()

    async def fails(delivery):
        raise TerminalError("still no use", code="no_use")

    async def on_dead(record, error):
        died.set()

    async def ready():
        pass

    prefix = settings.topic_prefix
    how = {"broker": broker, "service": "test", "prefix": prefix, "outages": bus.OUTAGES, "ready": ready}
    how["metrics"] = Metrics(CollectorRegistry())
    deliver = Deliverer(handle=fails, on_dead=on_dead, **how)
    consumer = KeyedConsumer(broker, [f"{settings.topic_prefix}runs"], f"{settings.topic_prefix}g", deliver, settings)
    first = await bury(topic="runs")
    await broker.start()
    consumer.start()
    assert (await act(gateway, first, "redrive", by="grace")).status_code == 200
    await asyncio.wait_for(died.wait(), 20)
    await consumer.stop(grace=1.0)
    await broker.stop()
    [second] = await listed(gateway)
    assert second != first
    shown = (await gateway.get(f"/v1/dead-letters/{second}")).json()
    assert (shown["came_from"], shown["redriven_by"], shown["state"]) == (first, "grace", "open")
    assert (await act(gateway, second, "redrive")).status_code == 200
    *_, third = await records_of(settings, "runs", 2)
    assert [value for name, value in third.headers if name == "redriven-from"] == [second.encode()]


async def test_the_list_has_the_newest_first_and_every_filter_filters(gateway, bury):
    now = datetime.now(UTC).replace(microsecond=0)
    old = await bury(at=now - timedelta(hours=2), code="too_large", value=b'{"tenant": "shop"}')
    mine = await bury(at=now - timedelta(hours=1), headers=[("ce_tenant", b"bank")], value=b"[" * 100_000)
    handoff = await bury(topic="agents.data", at=now, value=b'{"tenant": "bank"}', headers=[("ce_tenant", b"lies")])
    assert await listed(gateway) == [handoff, mine, old]
    assert await listed(gateway, limit=2) == [handoff, mine]
    assert await listed(gateway, topic="agents.data") == await listed(gateway, topic="agents.data.dlt") == [handoff]
    assert await listed(gateway, topic="runs") == []
    assert await listed(gateway, error="too_large") == [old]
    assert await listed(gateway, tenant="bank") == [handoff, mine]
    assert await listed(gateway, tenant="shop", topic="tasks") == [old]
    assert await listed(gateway, since=(now - timedelta(hours=1)).isoformat()) == [handoff, mine]
    assert await listed(gateway, until=(now - timedelta(hours=1)).isoformat()) == [old]
    assert await listed(gateway, since=(now + timedelta(hours=1)).isoformat()) == []
    assert await listed(gateway, state="redriven") == []


async def test_a_search_reads_only_so_much_and_says_so(gateway, bury, monkeypatch):
    names = [await bury(code=f"c{n}") for n in range(30)]
    monkeypatch.setattr(search, "MOST", 20)
    monkeypatch.setattr(search, "_CHUNK", 7)
    found = (await gateway.get("/v1/dead-letters")).json()
    assert [line["name"] for line in found["letters"]] == names[:9:-1]
    assert (found["complete"], found["not_looked_at"]) == (False, 10)
    found = (await gateway.get("/v1/dead-letters", params={"error": "c3"})).json()
    assert (found["letters"], found["complete"], found["not_looked_at"]) == ([], False, 10)
    monkeypatch.setattr(search, "MOST", 30)
    found = (await gateway.get("/v1/dead-letters")).json()
    assert (len(found["letters"]), found["complete"], found["not_looked_at"]) == (30, True, 0)
    found = (await gateway.get("/v1/dead-letters", params={"limit": 30})).json()
    assert (len(found["letters"]), found["complete"]) == (30, True)
    found = (await gateway.get("/v1/dead-letters", params={"limit": 29})).json()
    assert (len(found["letters"]), found["complete"]) == (29, False)
    monkeypatch.setattr(search, "WITHIN", 0.0)
    found = (await gateway.get("/v1/dead-letters")).json()
    assert (found["letters"], found["complete"], found["not_looked_at"]) == ([], False, 30)


async def test_everything_about_one_is_shown(gateway, bury):
    causes = [{"code": "timeout", "message": "slow"}]
    headers = [("ce_id", "Überweisung".encode()), ("raw", b"\xff"), ("traceparent", TRACE.encode())]
    more = {"dlt-causes": json.dumps(causes)}
    name = await bury(value=b"\xff\x00", key=b"k", headers=headers, code="invalid_payload", **more)
    shown = (await gateway.get(f"/v1/dead-letters/{name}")).json()
    assert shown["name"] == name
    assert (shown["topic"], shown["partition"], shown["offset"]) == ("tasks", "0", "3")
    assert (shown["error"], shown["message"], shown["attempts"]) == ("invalid_payload", "no use", "3")
    assert (shown["service"], shown["version"], shown["causes"]) == ("orchestrator", "0.1.0", causes)
    assert (shown["trace_id"], shown["state"], shown["handled"]) == (TRACE.split("-")[1], "open", None)
    assert shown["payload"] == {"text": None, "base64": base64.b64encode(b"\xff\x00").decode()}
    assert shown["key"]["text"] == "k"
    assert shown["headers"][0] == {"name": "ce_id", "text": "Überweisung", "base64": None}
    assert shown["headers"][1] == {"name": "raw", "text": None, "base64": "/w=="}


async def test_a_foreign_record_is_shown_and_discarded_but_never_redriven(gateway, bury, producer, settings):
    topic = settings.topic_prefix + "tasks.dlt"
    await producer.send_and_wait(topic, b"stray", None, 0)
    forged = await bury(**{"dlt-topic": settings.topic_prefix + "decisions"})
    broken = await bury(**{"dlt-headers": '[["ce_id", "%%%"]]'})
    for name in ("tasks.dlt/0/0", forged, broken):
        assert (await gateway.get(f"/v1/dead-letters/{name}")).status_code == 200
        assert error_of(await act(gateway, name, "redrive"), 409)["code"] == "not_redrivable"
    assert [line["outcome"] for line in lines(await act_on_many(gateway, "redrive"))[1:]] == ["failed"] * 3
    assert await count(gateway, settings) == await count(gateway, settings, "decisions") == 0
    assert (await act(gateway, "tasks.dlt/0/0", "discard", reason="stray")).status_code == 200
    assert await listed(gateway) == [broken, forged]


@pytest.mark.parametrize(
    "name",
    ["tasks.dlt/0/1", "tasks.dlt/7/0", "nothing.dlt/0/0", "tasks/0/0", f"tasks.dlt/0/{2**70}", "dead.actions/0/0"],
)
async def test_a_dead_letter_there_is_not_is_not_found(gateway, bury, producer, settings, name):
    await bury()
    await producer.send_and_wait(settings.topic_prefix + "tasks", b"alive", None, 0)
    for answer in (await gateway.get(f"/v1/dead-letters/{name}"), await act(gateway, name, "redrive")):
        assert error_of(answer, 404)["code"] == "unknown_dead_letter"


@pytest.mark.parametrize(
    "wrong",
    [{"topik": "tasks"}, {"state": "closed"}, {"limit": "0"}, {"since": "yesterday"}, {"tenant": "Not A Slug"}],
    ids=str,
)
async def test_a_filter_that_is_none_is_refused_for_a_list_and_for_many_and_nothing_is_done(
    gateway, bury, settings, wrong
):
    await bury()
    [said] = wrong
    assert said in error_of(await gateway.get("/v1/dead-letters", params=wrong), 422)["message"]
    assert said in error_of(await act_on_many(gateway, "redrive", wrong), 422)["message"]
    assert await count(gateway, settings) == 0


async def test_an_order_that_is_not_whole_is_refused(gateway, bury, settings):
    await bury()
    for order in ({"by": ""}, {"letters": None}, {"rate": 0}, {"letters": {"state": "discarded"}}):
        body = {"by": "ada", "letters": {}} | order
        assert next(iter(order)) in error_of(await gateway.post("/v1/dead-letters/redrive", json=body), 422)["message"]
    assert "letters" in error_of(await gateway.post("/v1/dead-letters/redrive", json={"by": "ada"}), 422)["message"]
    assert "reason" in error_of(await act_on_many(gateway, "discard"), 422)["message"]
    error = error_of(await act_on_many(gateway, "redrive", {"topic": "task"}), 404)
    assert (error["code"], "agents.data" in error["message"]) == ("unknown_topic", True)
    assert await count(gateway, settings) == 0


async def test_many_are_put_back_in_the_order_they_died_at_the_rate_asked_for(gateway, bury, settings):
    names = [await bury(value=b"%d" % n, code="no_use") for n in range(5)]
    other = await bury(code="defect")
    wanted = {"error": "no_use", "topic": "tasks"}
    dry = lines(await act_on_many(gateway, "redrive", wanted, dry_run=True))
    assert dry[0] == {"of": 5, "complete": True, "not_looked_at": 0}
    assert [(line["name"], line["outcome"]) for line in dry[1:]] == [(name, "chosen") for name in names]
    assert await count(gateway, settings) == 0
    began = time.monotonic()
    done = lines(await act_on_many(gateway, "redrive", wanted, rate=5))
    assert time.monotonic() - began > 0.8
    assert [(line["n"], line["of"], line["name"], line["outcome"]) for line in done[1:]] == [
        (n, 5, name, "redriven") for n, name in enumerate(names, 1)
    ]
    assert [record.value for record in await records_of(settings, "tasks", 5)] == [b"%d" % n for n in range(5)]
    assert await listed(gateway) == [other]
    assert lines(await act_on_many(gateway, "redrive", wanted))[0]["of"] == 0


async def test_progress_comes_while_many_are_still_put_back_and_ends_with_its_caller(gateway, bury, settings):
    for n in range(5):
        await bury(value=b"%d" % n)
    body = {"by": "ada", "letters": {}, "rate": 0.25}  # four seconds apart: enough to count in on a busy machine
    async with gateway.stream("POST", "/v1/dead-letters/redrive", json=body) as answer:
        coming = answer.aiter_lines()
        assert json.loads(await anext(coming))["of"] == 5
        assert json.loads(await anext(coming))["n"] == 1
        assert await count(gateway, settings) == 1
    await asyncio.sleep(0.5)
    left = len(await listed(gateway))
    assert left >= 3
    await asyncio.sleep(4.5)
    assert len(await listed(gateway)) == left


async def test_two_who_put_back_the_same_many_at_once_put_each_back_once(gateway, bury, settings):
    names = [await bury(value=b"%d" % n) for n in range(12)]
    async with serving(settings) as other:
        answers = await asyncio.gather(*(act_on_many(each, "redrive", rate=1000) for each in (gateway, other)))
    both = [lines(answer)[1:] for answer in answers]
    assert sorted(line["name"] for each in both for line in each if line["outcome"] == "redriven") == sorted(names)
    assert await count(gateway, settings) == 12
    assert await listed(gateway) == []


async def test_many_are_discarded_with_one_reason(gateway, bury, settings):
    names = [await bury(), await bury()]
    done = lines(await act_on_many(gateway, "discard", {"topic": "tasks"}, reason="an old bug"))
    assert [(line["name"], line["outcome"]) for line in done[1:]] == [(name, "discarded") for name in names]
    records = await records_of(settings, "dead.actions", 2)
    handled = [decode(record, settings.topic_prefix).message for record in records]
    assert [each.reason for each in handled] == ["an old bug"] * 2
    assert sorted(record.key.decode() for record in records) == names


async def test_actions_on_an_earlier_letter_of_the_same_name_do_not_count(gateway, bury, producer, settings):
    name = await bury()
    now = datetime.now(UTC)
    earlier = DeadLetterHandled(
        name=name, action="discarded", by="ada", at=now, reason="r", died=now - timedelta(days=1)
    )
    record = encode(earlier, id="e", source="/x", prefix=settings.topic_prefix, now=now, key=name)
    headers = [(n, v.encode()) for n, v in record.headers.items()]
    for value in (b"unreadable", record.value.encode()):
        await producer.send_and_wait(record.topic, value, record.key.encode(), 0, headers=headers)
    assert await listed(gateway) == [name]
    assert (await act(gateway, name, "redrive")).status_code == 200


async def test_without_kafka_all_of_it_is_refused_as_passing(settings, redis):
    broker = EmbeddedKafka()
    async with serving(settings.model_copy(update={"kafka": broker.bootstrap})) as client:
        broker.close()
        answers = [await client.get("/v1/dead-letters"), await client.get("/v1/dead-letters/tasks.dlt/0/0")]
        answers += [await act(client, "tasks.dlt/0/0", "redrive"), await act_on_many(client, "redrive")]
        for answer in answers:
            assert error_of(answer, 503)["retryable"]


async def test_without_redis_nothing_is_put_back_and_looking_still_works(settings, topics, bury):
    name = await bury()
    async with serving(settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"})) as client:
        assert await listed(client) == [name]
        assert error_of(await act(client, name, "redrive"), 503)["code"] == "blackboard_unavailable"
        [_, line] = lines(await act_on_many(client, "redrive"))
        assert (line["outcome"], line["error"]["retryable"]) == ("failed", True)
        assert await listed(client) == [name]


async def test_when_kafka_goes_away_among_many_the_last_line_says_so(settings, redis, monkeypatch):
    monkeypatch.setattr(redrive, "WITHIN", 2.0)
    broker = EmbeddedKafka()
    mine = settings.model_copy(update={"kafka": broker.bootstrap})
    await declared_topics.create(mine.kafka, mine.topic_prefix, declared_topics.declared())
    async with AIOKafkaProducer(bootstrap_servers=mine.kafka) as producer, serving(mine) as client:
        for n in range(3):
            await put(producer, mine, value=b"%d" % n)
        body = {"by": "ada", "letters": {}, "rate": 1}
        async with client.stream("POST", "/v1/dead-letters/redrive", json=body) as answer:
            coming = answer.aiter_lines()
            assert [json.loads(await anext(coming)).get("outcome") for _ in range(2)] == [None, "redriven"]
            broker.close()
            [last] = [json.loads(line) async for line in coming]
    assert (last["n"], last["of"], last["outcome"], last["error"]["code"]) == (2, 3, "failed", "outcome_unknown")


@pytest.mark.parametrize(
    ("there_is", "status", "code"),
    [({"tasks", "tasks.dlt"}, 503, "not_recordable"), ({"tasks.dlt", "dead.actions"}, 409, "not_redrivable")],
)
async def test_without_the_topics_it_takes_nothing_is_put_back(settings, redis, there_is, status, code):
    few = [topic for topic in declared_topics.declared() if topic.name in there_is]
    await declared_topics.create(settings.kafka, settings.topic_prefix, few)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer, serving(settings) as client:
        name = await put(producer, settings)
        assert error_of(await act(client, name, "redrive"), status)["code"] == code
        assert await listed(client) == [name]


async def test_a_large_one_is_put_back_whole_and_one_too_large_for_its_topic_is_refused(
    gateway, bury, settings, request
):
    name = await bury(value=b"x" * 2_000_000)
    assert (await act(gateway, name, "redrive")).status_code == 200
    [record] = await records_of(settings, "tasks", 1)
    assert record.value == b"x" * 2_000_000
    if request.config.getoption("kafka") == "real":  # the embedded one does not keep a record as large as this
        name = await bury(value=b"x" * 8_388_608)
        assert error_of(await act(gateway, name, "redrive"), 409)["code"] == "too_large"
        assert await listed(gateway) == [name]


async def test_the_command_line_does_all_of_it_at_a_real_gateway(gateway, bury, settings):
    async def waggle(*arguments):
        command = [sys.executable, "-m", "services.cli", "dlq", *arguments, "--gateway", str(gateway.base_url)]
        running = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
        stdout, stderr = await asyncio.wait_for(running.communicate(), 30)
        return running.returncode, stdout.decode(), stderr.decode()

    name, other = await bury(value=b'{"objective": "a\xe2\x80\xa8b"}'), await bury(code="no_use")
    code, out, _ = await waggle("list", "--since", "1h")
    assert code == 0
    assert out.index(other) < out.index(name)
    code, out, _ = await waggle("show", name)
    assert (code, '{"objective"' in out, TRACE.split("-")[1] in out) == (0, True, True)
    assert (await waggle("redrive", name, "--by", "grace"))[0] == 0
    code, _, said = await waggle("redrive", name)
    assert (code, "redriven by grace" in said) == (9, True)
    code, out, _ = await waggle("discard", "--error", "no_use", "--reason", "theirs")
    assert (code, f"1 of 1  {other}  discarded" in out) == (0, True)
    assert "No dead letter matches" in (await waggle("list"))[1]
