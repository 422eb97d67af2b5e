"""A run leaves no timer behind: `timers` holds what waits for live runs, and a key that was cleared is gone."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer

from schemas.approval import CancelRun, HumanDecided, PauseRun, ResumeRun
from schemas.step import HelpAsked
from schemas.timer import DeadlinePassed, TimerSet
from shared import bus
from shared.bus import cleared, encode_delayed, publish
from shared.runs.timers import timers
from tests.support.keeping_time import timekeeping
from tests.support.orchestrating import RUN, delivery, handoff_of, task, token
from tests.support.questions import first_asked

ABOUT = {"run_id": RUN, "tenant": "default", "by": "me"}


async def table(settings) -> tuple[dict[str, TimerSet], set[str]]:
    """Content of `timers` after a compaction: the timers by key, and the keys of empty records."""
    topic, found = settings.topic_prefix + "timers", {}
    about = {"bootstrap_servers": settings.kafka, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, **about) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        for place, end in ends.items():
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                    found[record.key.decode()] = record.value
    kept = {key: TimerSet.read(value) for key, value in found.items() if value}
    return kept, {key for key, value in found.items() if value == b""}


async def erased(settings, keeper) -> dict[str, TimerSet]:
    """The timers that are left when the timekeeper has erased what was cleared."""
    async with asyncio.timeout(20):
        while True:
            kept, empty = await table(settings)
            if not empty and len(keeper.timers) == len(kept):
                return kept
            await asyncio.sleep(0.1)


async def live(orchestrator) -> set[str]:
    return {each.id for each in timers((await orchestrator.parts.runs.load("default", RUN)).run)}


async def asked(orchestrator) -> None:
    handoff = await handoff_of(orchestrator)
    about = {"id": f"{handoff}/answer", "run_id": RUN, "tenant": "default", "agent": "data", "handoff_id": handoff}
    answer = HelpAsked(**about, token=token(handoff, "data"), question="may I?")
    await orchestrator.handle(delivery(answer, answer.id))


async def decided(orchestrator) -> None:
    request = first_asked((await orchestrator.parts.runs.load("default", RUN)).run)
    order = HumanDecided(**ABOUT, request_id=request.request_id, decision="approve")
    await orchestrator.handle(delivery(order, "d1"))


async def test_a_live_run_has_one_deadline_timer_and_an_ended_one_has_none(settings, topics, orchestrator):
    async with timekeeping(settings) as (keeper, _):
        await orchestrator.handle(task())
        first = set(await erased(settings, keeper))
        await asked(orchestrator)
        waiting = set(await erased(settings, keeper))
        await asyncio.sleep(0.01)  # the clock that has stood
        await decided(orchestrator)
        moved = set(await erased(settings, keeper))
        assert moved == await live(orchestrator)
        await orchestrator.handle(delivery(PauseRun(**ABOUT, reason="r"), "p1"))
        await asyncio.sleep(0.01)
        await orchestrator.handle(delivery(ResumeRun(**ABOUT), "r1"))
        resumed = set(await erased(settings, keeper))
        await orchestrator.handle(delivery(CancelRun(**ABOUT, reason="r"), "c1"))
        settled = await erased(settings, keeper)
    assert (len(first), len(waiting), len(moved), len(resumed)) == (1, 2, 1, 1)
    assert first < waiting
    assert len(first | moved | resumed) == 3
    assert set(settled) == resumed | {f"{RUN}/result/due"}


async def publish_all(settings, records) -> None:
    broker = bus.connect(settings, "test")
    await broker.start()
    await publish(broker, records)
    await broker.stop()


async def test_a_timer_cleared_while_no_timekeeper_runs_never_fires_and_is_erased_at_the_next_start(settings, topics):
    now, prefix = datetime.now(UTC), settings.topic_prefix
    message = DeadlinePassed(run_id="run-1", tenant="default")
    due = {"gone": now, "kept": now + timedelta(hours=1)}
    setting = [encode_delayed(message, each, id=id, source="/t", prefix=prefix, now=now) for id, each in due.items()]
    await publish_all(settings, [*setting, cleared("gone", prefix=prefix), cleared("never set", prefix=prefix)])
    assert await table(settings) == ({"kept": TimerSet.read(setting[1].value)}, {"gone", "never set"})
    async with timekeeping(settings) as (keeper, _):
        assert list(await erased(settings, keeper)) == ["kept"]
        assert keeper.parts.metrics.timers_fired._value.get() == 0
    async with timekeeping(settings) as (keeper, consumer):
        async with asyncio.timeout(20):
            while consumer.loading:
                await asyncio.sleep(0.02)
        assert len(keeper.timers) == 1


async def test_a_timer_that_is_set_again_after_it_was_cleared_waits(settings, topics):
    now, prefix = datetime.now(UTC), settings.topic_prefix
    message, due = DeadlinePassed(run_id="run-1", tenant="default"), now + timedelta(hours=1)
    timer = encode_delayed(message, due, id="again", source="/t", prefix=prefix, now=now)
    async with timekeeping(settings) as (keeper, _):
        await publish_all(settings, [timer, cleared("again", prefix=prefix), timer])
        assert list(await erased(settings, keeper)) == ["again"]
