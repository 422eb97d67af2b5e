"""The bus on a real broker: order within a key, nothing acknowledged too early, poison out of the way."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from schemas.task import Task
from shared import bus
from shared.blackboard.attempts import Attempts
from shared.bus import KeyedConsumer, encode, publish
from shared.bus.consumer import COMMIT_EVERY
from shared.bus.dead.letters import read_dead_letter
from shared.bus.dead_letter import dead_letter_headers
from shared.bus.publishing import LARGEST_MESSAGE, publish_bytes, size_of
from shared.errors import Fenced, RetryableError, TerminalError
from tests.support.consuming import consuming, question, record, until
from tests.support.keeping_time import timekeeping

pytestmark = pytest.mark.broker


async def test_messages_of_one_key_are_handled_in_order_and_keys_at_once(settings, topics):
    seen: dict[str, list[str]] = {}
    running, most = 0, 0

    async def handle(delivery):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        seen.setdefault(delivery.message.run_id, []).append(delivery.message.question)
        running -= 1

    async with consuming(settings, handle) as (broker, _):
        await publish(broker, [record(question(n, f"run-{n % 5}"), settings.topic_prefix) for n in range(50)])
        await until(lambda: sum(map(len, seen.values())) == 50)
    assert all(order == sorted(order, key=int) for order in seen.values())
    assert most > 1


async def test_a_slow_message_holds_up_its_own_key_only_and_is_not_committed_over(settings, topics):
    release, done = asyncio.Event(), []

    async def handle(delivery):
        if delivery.message.run_id == "run-slow":
            await release.wait()
        done.append(delivery.message.id)

    async with consuming(settings, handle) as (broker, _):
        await publish(broker, [record(question(0, "run-slow"), settings.topic_prefix)])
        await publish(broker, [record(question(n, f"run-{n}"), settings.topic_prefix) for n in range(1, 20)])
        await until(lambda: len(done) == 19)
        release.set()
        await until(lambda: len(done) == 20)


async def test_unfinished_records_are_redelivered_to_the_next_consumer(settings, topics):
    started = asyncio.Event()

    async def hangs(delivery):
        started.set()
        await asyncio.sleep(60)

    async with consuming(settings, hangs) as (broker, _):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await asyncio.wait_for(started.wait(), 20)

    seen = []

    async def handle(delivery):
        seen.append(delivery.message.id)

    async with consuming(settings, handle):
        await until(lambda: seen == ["q1"], 30)


async def test_a_record_that_arrives_while_the_consumer_stops_goes_to_the_next_one(settings, topics):
    begun, release, handled = asyncio.Event(), asyncio.Event(), []

    async def slow(delivery):
        begun.set()
        await release.wait()

    async with consuming(settings, slow) as (broker, consumer):
        await publish(broker, [record(question(1, "run-1"), settings.topic_prefix)])
        await begun.wait()
        stopping = asyncio.create_task(consumer.stop(grace=10))
        await asyncio.sleep(0)
        await publish(broker, [record(question(2, f"run-{number}"), settings.topic_prefix) for number in range(2, 9)])
        await asyncio.sleep(10 * COMMIT_EVERY)
        release.set()
        await stopping

    async def note(delivery):
        handled.append(delivery.message.run_id)

    async with consuming(settings, note):
        await until(lambda: len(handled) == 7)
    assert sorted(handled) == [f"run-{number}" for number in range(2, 9)]


async def test_finished_records_are_not_redelivered(settings, topics):
    first, second = [], []

    async def handle(delivery):
        first.append(delivery.message.id)

    async with consuming(settings, handle) as (broker, _):
        await publish(broker, [record(question(n), settings.topic_prefix) for n in range(5)])
        await until(lambda: len(first) == 5)

    async def again(delivery):
        second.append(delivery.message.id)

    async with consuming(settings, again) as (broker, _):
        await publish(broker, [record(question(9), settings.topic_prefix)])
        await until(lambda: "q9" in second)
    assert second == ["q9"]


@pytest.mark.parametrize(
    ("value", "headers", "code"),
    [
        (b"{not json", {}, "invalid_payload"),
        (b"\xff\xfe\x00", {}, "invalid_payload"),
        (b'{"id": 1}', {}, "invalid_payload"),
        (b"[]", {}, "invalid_payload"),
        (b"", {}, "invalid_payload"),
        (b"{}", {"ce_type": "waggle.help-asked.v9"}, "invalid_envelope"),
        (b"{}", {"ce_type": ""}, "invalid_envelope"),
        (b"{}", {"content-type": "text/plain"}, "invalid_envelope"),
    ],
)
async def test_an_unreadable_record_is_dead_lettered_with_its_bytes_and_the_rest_continues(
    settings, topics, value, headers, code
):
    seen, dead = [], []

    async def handle(delivery):
        seen.append(delivery.message.id)

    good = record(question(1), settings.topic_prefix)
    async with consuming(settings, handle, dead=dead) as (broker, _):
        await publish_bytes(broker, good.topic, b"run-1", value, good.headers | headers)
        await publish(broker, [good])
        await until(lambda: seen == ["q1"])
        async with AIOKafkaConsumer(
            good.topic + ".dlt", bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
        ) as letters:
            letter = await asyncio.wait_for(letters.getone(), 20)
    found = dict(letter.headers)
    assert letter.value == value
    assert found["dlt-error"].decode() == code
    assert found["dlt-topic"].decode() == good.topic
    original = {name: base64.b64decode(each) for name, each in json.loads(found["dlt-headers"])}
    assert original["ce_id"] == b"q1"
    assert [error.code for _, error in dead] == [code]


async def test_a_terminal_error_is_dead_lettered_after_one_try(settings, topics):
    tries, dead = [], []

    async def handle(delivery):
        tries.append(1)
        raise TerminalError("no use", code="no_use")

    async with consuming(settings, handle, dead=dead) as (broker, _):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: bool(dead))
    assert (len(tries), dead[0][1].code) == (1, "no_use")


async def test_a_record_whose_headers_fit_no_dead_letter_is_one_without_them(settings, topics):
    dead = []

    async def handle(delivery):
        raise AssertionError

    async with consuming(settings, handle, dead=dead) as (broker, _):
        topic = settings.topic_prefix + "runs"
        await publish_bytes(broker, topic, b"k" * 1000, b"x" * 4_000_000, {"big": "y" * 4_200_000})
        await until(lambda: bool(dead))
        async with AIOKafkaConsumer(
            topic + ".dlt",
            bootstrap_servers=settings.kafka,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=9 << 20,
        ) as letters:
            letter = await asyncio.wait_for(letters.getone(), 20)
    lost = json.loads(dict(letter.headers)["dlt-lost"])
    assert (letter.value, letter.key) == (b"x" * 4_000_000, b"k" * 1000)
    assert lost["dlt-headers"]["bytes"] > 4_200_000 * 4 / 3
    assert read_dead_letter(letter, settings.topic_prefix).headers == ()


async def test_a_record_that_is_too_large_inside_a_timer_is_a_dead_letter_with_what_failed(settings, topics):
    dead = []

    async def handle(delivery):
        raise RetryableError("not yet", code="not_yet")

    message = question(1).model_copy(update={"question": '"' * 3_000_000})
    async with consuming(settings, handle, dead=dead) as (broker, _):
        await publish(broker, [record(message, settings.topic_prefix)])
        await until(lambda: bool(dead))
    assert dead[0][1].code == "not_yet"


async def test_the_producer_keeps_working_after_a_message_that_is_too_large(settings, topics):
    broker = bus.connect(settings, "test")
    await broker.start()
    try:
        large = question(1).model_copy(update={"question": "x" * 8_400_000})
        for each in (question(1), large, question(2)):
            if each is large:
                with pytest.raises(TerminalError, match="too large"):
                    await publish(broker, [record(each, settings.topic_prefix)])
            else:
                await asyncio.wait_for(publish(broker, [record(each, settings.topic_prefix)]), 20)
    finally:
        await broker.stop()


async def test_the_largest_message_that_may_be_sent_is_one_that_kafka_takes(settings, topics):
    broker = bus.connect(settings, "test")
    await broker.start()
    try:
        bare = record(question(1), settings.topic_prefix)
        headers = [(name, value.encode()) for name, value in bare.headers.items()]
        room = LARGEST_MESSAGE - size_of(bare.key.encode(), b"", headers)
        await asyncio.wait_for(publish(broker, [bare.model_copy(update={"value": "x" * room})]), 20)
        with pytest.raises(TerminalError):
            await publish(broker, [bare.model_copy(update={"value": "x" * (room + 1)})])
    finally:
        await broker.stop()


async def test_the_owner_of_a_partition_resumes_work_that_another_claimed_for_a_moment(settings, topics, monkeypatch):
    monkeypatch.setattr(bus.consumer, "RETRY_AFTER", 0.05)
    tries = []

    async def handle(delivery):
        tries.append(delivery.message.id)
        if len(tries) < 3:
            raise Fenced("by one that was frozen and does not know it yet")

    async with consuming(settings, handle) as (broker, consumer):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: len(tries) == 3 and not consumer.in_flight)
        assert not sum(consumer.commits.lag().values())


async def test_a_consumer_that_lost_a_partition_drops_work_claimed_by_the_next_owner(settings, topics, monkeypatch):
    monkeypatch.setattr(bus.consumer, "RETRY_AFTER", 0.05)
    tries, released = [], asyncio.Event()

    async def handle(delivery):
        tries.append(delivery.message.id)
        await released.wait()
        raise Fenced("by the next owner")

    async with consuming(settings, handle) as (broker, consumer):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: bool(tries))
        mine = [TopicPartition(settings.topic_prefix + "runs", number) for number in range(4)]
        await consumer.on_partitions_revoked(mine)
        released.set()
        await until(lambda: not consumer.in_flight)
        assert tries == ["q1"]


async def test_a_consumer_that_lost_a_partition_does_not_retry_its_failed_records(settings, topics, monkeypatch):
    monkeypatch.setattr(bus.consumer, "RETRY_AFTER", 0.05)
    tries, released = [], asyncio.Event()

    async def handle(raw):
        tries.append(raw.offset)
        await released.wait()
        raise RuntimeError("a defect of what deals with failures")

    async with consuming(settings, None) as (broker, consumer):
        monkeypatch.setattr(consumer, "_handle", handle)
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: bool(tries))
        await consumer.on_partitions_revoked([TopicPartition(settings.topic_prefix + "runs", n) for n in range(4)])
        released.set()
        await until(lambda: not consumer.in_flight, seconds=2)
        assert tries == [0]


async def test_it_has_joined_once_partitions_are_assigned_and_not_during_a_rebalance(settings, topics):
    assert not KeyedConsumer(bus.connect(settings, "test"), ["none"], "g", None, settings).joined
    async with consuming(settings, None) as (_, consumer):
        await until(lambda: consumer.joined)
        await consumer.on_partitions_revoked([])
        assert not consumer.joined


async def test_during_a_rebalance_no_work_starts(settings, topics):
    tries, released = [], asyncio.Event()

    async def handle(delivery):
        tries.append(delivery.message.id)
        await released.wait()

    async with consuming(settings, handle) as (broker, consumer):
        await publish(broker, [record(question(n), settings.topic_prefix) for n in (1, 2)])
        await until(lambda: consumer.waiting == 1)
        await consumer.on_partitions_revoked([])
        released.set()
        await until(lambda: not consumer.in_flight)
        assert tries == ["q1"]
        await consumer.on_partitions_assigned([])
        await until(lambda: tries == ["q1", "q2"])


async def test_a_consumer_that_hears_kafka_is_not_deaf_and_one_whose_commits_are_refused_is(
    settings, topics, monkeypatch
):
    done = []

    async def handle(delivery):
        done.append(delivery.message.id)

    async with consuming(settings, handle) as (broker, consumer):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: bool(done))
        await asyncio.sleep(0.5)
        assert consumer.seconds_since_fetch < 0.5

        async def refuse(_offsets):
            raise CommitFailedError

        monkeypatch.setattr(consumer.reader(), "commit", refuse)
        await publish(broker, [record(question(2), settings.topic_prefix)])
        await until(lambda: consumer.seconds_since_fetch > 0.6)
        monkeypatch.undo()
        await until(lambda: consumer.seconds_since_fetch < 0.5)


async def test_a_retryable_error_is_retried_until_it_passes(settings, topics):
    tries = []

    async def handle(delivery):
        tries.append(1)
        if len(tries) < 3:
            raise RetryableError("not yet", after=0.01)

    async with timekeeping(settings), consuming(settings, handle) as (broker, _):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: len(tries) == 3)


@pytest.mark.parametrize("claimed", [2, 8, 10**9])
async def test_an_external_record_gets_all_its_attempts_even_if_its_headers_claim_otherwise(
    settings, topics, redis, claimed
):
    tries, dead = [], []

    async def handle(delivery):
        tries.append(delivery.envelope.attempt)
        raise RetryableError("busy", after=0.01) if len(tries) < 3 else TerminalError("no use", code="no_use")

    prefix = settings.topic_prefix
    task = encode(Task(objective="x"), id="t", source="/shop", prefix=prefix, now=datetime.now(UTC))
    forged = task.model_copy(update={"headers": task.headers | {"ce_attempt": str(claimed)}})
    attempts = Attempts(redis)
    async with (
        timekeeping(settings),
        consuming(settings, handle, topics=["tasks"], dead=dead, attempts=attempts) as (broker, _),
    ):
        await publish(broker, [forged])
        await until(lambda: bool(dead))
    assert tries == [1, 2, 3]


async def test_records_of_two_sources_with_equal_id_and_key_are_both_retried(settings, topics):
    tries = []

    async def handle(delivery):
        tries.append((delivery.envelope.source, delivery.envelope.attempt))
        if delivery.envelope.attempt == 1:
            raise RetryableError("busy", after=0.2)

    def of(source):
        return encode(question(1), id="1001", source=source, prefix=settings.topic_prefix, now=datetime.now(UTC))

    async with timekeeping(settings), consuming(settings, handle) as (broker, _):
        await publish(broker, [of("/shop"), of("/crm")])
        await until(lambda: len(tries) == 4)
    assert sorted(tries) == [("/crm", 1), ("/crm", 2), ("/shop", 1), ("/shop", 2)]


async def test_a_message_that_waits_for_its_retry_holds_up_nothing_and_carries_its_causes(settings, topics):
    done, attempts, dead = [], [], []

    async def handle(delivery):
        if delivery.message.id != "q1":
            done.append(delivery.message.id)
            return
        attempts.append(delivery.envelope.attempt)
        if len(attempts) < 3:
            raise RetryableError(f"not yet {len(attempts)}", after=0.2)
        raise TerminalError("and never", code="never")

    async with timekeeping(settings), consuming(settings, handle, dead=dead) as (broker, _):
        await publish(broker, [record(question(n), settings.topic_prefix) for n in (1, 2, 3)])
        await until(lambda: done == ["q2", "q3"])
        assert attempts == [1]
        await until(lambda: bool(dead))
    assert attempts == [1, 2, 3]
    raw, error = dead[0]
    headers = dead_letter_headers(raw, error, service="test", attempts=3, now=datetime.now(UTC))
    assert json.loads(headers["dlt-causes"]) == ["retryable: not yet 1", "retryable: not yet 2"]
    assert raw.key == b"run-1"


async def test_a_record_with_an_exact_retry_time_comes_back_at_that_time(settings, topics):
    late = []

    async def handle(delivery):
        if delivery.envelope.attempt == 1:
            turn = 0.5 * int(delivery.message.id.removeprefix("q"))
            late.append(-time.monotonic() - turn)
            raise RetryableError("not yet", after=turn, exact=True)
        late.append(time.monotonic())

    async with timekeeping(settings) as (_, table), consuming(settings, handle) as (broker, _):
        await until(lambda: not table.loading)
        await publish(broker, [record(question(n), settings.topic_prefix) for n in range(1, 9)])
        await until(lambda: len(late) == 16)
    came, turns = sorted(each for each in late if each > 0), sorted(-each for each in late if each < 0)
    assert all(0 <= after - turn < 1.2 for after, turn in zip(came, turns, strict=True))


@pytest.mark.parametrize("causes", ["not json", '"text"', "{}", "[" * 100_000])
async def test_a_message_with_unreadable_earlier_causes_is_still_retried(settings, topics, causes):
    attempts, dead = [], []

    async def handle(delivery):
        attempts.append(delivery.envelope.attempt)
        if len(attempts) < 2:
            raise RetryableError("not yet", after=0.1)
        raise TerminalError("and never", code="never")

    async with timekeeping(settings), consuming(settings, handle, dead=dead) as (broker, _):
        sent = record(question(1), settings.topic_prefix)
        await publish(broker, [sent.model_copy(update={"headers": sent.headers | {"waggle-causes": causes}})])
        await until(lambda: bool(dead))
    assert attempts == [1, 2]
    assert json.loads(dict(dead[0][0].headers)["waggle-causes"]) == ["retryable: not yet"]


async def test_a_message_with_an_id_of_maximal_length_is_retried(settings, topics):
    tries = []

    async def handle(delivery):
        tries.append(delivery.envelope.attempt)
        if len(tries) < 2:
            raise RetryableError("not yet", after=0.01)

    async with timekeeping(settings), consuming(settings, handle) as (broker, consumer):
        await publish(broker, [record(question(1), settings.topic_prefix, id="x" * 255)])
        await until(lambda: tries == [1, 2] and not consumer.in_flight)


async def test_a_message_that_came_without_a_trace_keeps_one_trace_across_retries(settings, topics):
    from shared.telemetry.export import start_tracing

    start_tracing("test", CollectorRegistry())
    places = []

    async def handle(delivery):
        places.append(trace.get_current_span().get_span_context())
        if len(places) < 3:
            raise RetryableError("not yet", after=0.01)

    sent = record(question(1), settings.topic_prefix)
    bare = {name: value for name, value in sent.headers.items() if name != "traceparent"}
    async with timekeeping(settings), consuming(settings, handle) as (broker, _):
        await publish(broker, [sent.model_copy(update={"headers": bare})])
        await until(lambda: len(places) == 3)
    assert len({each.trace_id for each in places}) == 1
    assert len({each.span_id for each in places}) == 3


@pytest.mark.parametrize("failure", [TerminalError("too large", code="too_large"), KafkaConnectionError("away")])
async def test_a_sender_that_cannot_be_notified_has_its_record_dead_lettered_once(
    settings, topics, monkeypatch, failure
):
    handled, told = [], []

    async def handle(delivery):
        handled.append(delivery.message.id)
        raise TerminalError("no use", code="no_use")

    async def tell(raw, error):
        told.append(error.code)
        if len(told) < 3:
            raise failure

    registry = CollectorRegistry()
    async with consuming(settings, handle, registry=registry, on_dead=tell) as (broker, consumer):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: told and not consumer.in_flight)
    labels = {"topic": settings.topic_prefix + "runs", "error": "no_use"}
    assert registry.get_sample_value("waggle_dead_letters_total", labels) == 1
    assert handled == ["q1"]
    assert len(told) == (3 if isinstance(failure, KafkaConnectionError) else 1)


@pytest.mark.parametrize(
    "defect",
    [
        KeyError("a defect"),
        FileNotFoundError("a missing file"),
        PermissionError("no"),
        TimeoutError(),
        ConnectionError(),
    ],
    ids=lambda defect: type(defect).__name__,
)
async def test_a_defect_is_tried_three_times_and_then_dead_lettered(settings, topics, monkeypatch, defect):
    monkeypatch.setattr("shared.bus.deliver.DEFECT_DELAY", 0.1)
    tries, dead = [], []

    async def handle(delivery):
        tries.append(1)
        raise defect

    async with timekeeping(settings), consuming(settings, handle, dead=dead) as (broker, _):
        await publish(broker, [record(question(1), settings.topic_prefix)])
        await until(lambda: bool(dead))
    assert (len(tries), dead[0][1].code) == (3, "defect")


async def test_the_senders_trace_continues_in_the_messages_of_the_handler(settings, topics):
    from shared.telemetry.export import start_tracing

    start_tracing("test", CollectorRegistry())
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = []

    async def handle(delivery):
        found.append(record(question(2), settings.topic_prefix).headers["traceparent"])

    async with consuming(settings, handle) as (broker, _):
        sent = record(question(1), settings.topic_prefix)
        await publish(broker, [sent.model_copy(update={"headers": sent.headers | {"traceparent": parent}})])
        await until(lambda: bool(found))
    assert found[0].split("-")[1] == parent.split("-")[1]
    assert found[0] != parent


async def test_when_a_second_consumer_joins_in_the_middle_nothing_is_lost_and_in_the_end_all_is_committed(
    settings, topics, request
):
    if request.config.getoption("kafka") == "embedded":
        pytest.skip("the embedded broker fails a join while others commit; `make test-kafka` runs this")
    seen: dict[str, list[str]] = {}

    async def handle(delivery):
        await asyncio.sleep(0.02)
        seen.setdefault(delivery.message.run_id, []).append(delivery.message.id)

    sent = [record(question(n, f"run-{n % 40}"), settings.topic_prefix) for n in range(400)]
    async with consuming(settings, handle) as (broker, _):
        await publish(broker, sent)
        await until(lambda: sum(map(len, seen.values())) > 50)
        async with consuming(settings, handle):
            wanted = {each.id for each in sent}
            await until(lambda: wanted <= {id for ids in seen.values() for id in ids}, 60)
            await asyncio.sleep(0.5)
    for ids in seen.values():
        first = list(dict.fromkeys(ids))
        assert first == sorted(first, key=lambda each: int(each[1:]))

    again = []

    async def late(delivery):
        again.append(delivery.message.id)

    async with consuming(settings, late) as (broker, _):
        await publish(broker, [record(question(999, "run-late"), settings.topic_prefix)])
        await until(lambda: "q999" in again, 30)
    assert again == ["q999"]
