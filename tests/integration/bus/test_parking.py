"""Stopped work is parked: it blocks no other work, survives kills, resumes when allowed, and ends with its run."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from schemas.step import DoStep
from shared import bus
from shared.blackboard import RunStore
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.service.kill_switch import StopScope
from shared.telemetry.metrics import Metrics
from tests.support.gateway_fixtures import begin, cancel, serving
from tests.support.keeping_time import timekeeping
from tests.support.kill_switch import following
from tests.support.kill_switch import switch as switch  # noqa: PLC0414 -- a fixture


def handoff(number: int, tenant: str, deadline: float = 600.0, size: int = 10) -> DoStep:
    run = f"run-{tenant}-{number}"
    return DoStep(
        id=f"{run}/data/0.0.1",
        run_id=run,
        task_id="t",
        tenant=tenant,
        agent="data",
        step_id="data",
        objective="x" * size,
        budget_left={},
        timeout=60,
        deadline=datetime.now(UTC) + timedelta(seconds=deadline),
    )


@asynccontextmanager
async def agent(settings, stops, done, begun=None):
    """An agent in this process that does what it may; `begun` holds its work up until it is set."""
    broker = bus.connect(settings, "data")
    registry = CollectorRegistry()

    async def work(name: str) -> None:
        if begun is not None:
            begun.append(name)
            await asyncio.sleep(30 if len(begun) == 1 else 0)
        done.append(name)

    async def handle(delivery) -> None:
        message = delivery.message
        whose = StopScope(message.tenant, "data", message.run_id)
        await stops.unless_stopped(whose, work(message.id))

    async def ready() -> None:
        pass

    async def buried(record, error) -> None:
        raise AssertionError(error)

    deliver = Deliverer(
        broker=broker,
        service="data",
        prefix=settings.topic_prefix,
        handle=handle,
        on_dead=buried,
        outages=bus.OUTAGES,
        ready=ready,
        metrics=Metrics(registry),
        table="retries.data",
    )
    consumer = KeyedConsumer(
        broker, [settings.topic_prefix + "agents.data"], settings.topic_prefix + "d", deliver, settings
    )
    await broker.start()
    consumer.start()
    try:
        yield broker, consumer
    finally:
        await consumer.stop(grace=0.1)
        await broker.stop()


def records(settings, messages):
    now, prefix = datetime.now(UTC), settings.topic_prefix
    return [encode(each, id=each.id, source="waggle/orchestrator", prefix=prefix, now=now) for each in messages]


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("scope", ["tenant:stopped", "all"])
async def test_a_thousand_stopped_handoffs_block_no_other_work_and_all_resume_when_the_stop_is_lifted(
    settings, topics, switch, scope
):
    stopped = [handoff(number, "stopped") for number in range(1_000)]
    done: list[str] = []
    async with timekeeping(settings) as (keeper, _), following(settings) as stops:
        await switch(scope, on=False)
        await until(lambda: stops.reason(StopScope("stopped", "data", "x")))
        async with agent(settings, stops, done) as (broker, consumer):
            await publish(broker, records(settings, stopped))
            await until(lambda: keeper.timers.parked == 1_000)
            assert (consumer.in_flight, consumer.waiting, done) == (0, 0, [])
            if scope != "all":
                await publish(broker, records(settings, [handoff(number, "other") for number in range(50)]))
                await until(lambda: len(done) == 50, 20)
                done.clear()
            assert sum(consumer.commits.lag().values()) == 0, "their offsets count as done"
            await switch(scope, on=True)
            await until(lambda: len(done) == 1_000)
            await until(lambda: not len(keeper.timers))
    assert sorted(done) == sorted(each.id for each in stopped)


async def test_parked_work_survives_restarts_of_the_timekeeper_and_the_agent(settings, topics, switch):
    done: list[str] = []
    async with following(settings) as stops:
        await switch("agent:data", on=False)
        await until(lambda: stops.reason(StopScope("acme", "data", "x")))
        async with timekeeping(settings) as (keeper, _), agent(settings, stops, done) as (broker, _):
            await publish(broker, records(settings, [handoff(number, "acme") for number in range(20)]))
            await until(lambda: keeper.timers.parked == 20)
        assert done == []
        async with timekeeping(settings, "second") as (second, consumer):
            await until(lambda: not consumer.loading and second.timers.parked == 20)
            await asyncio.sleep(1)
            assert second.timers.parked == 20, "a new timekeeper learns what is stopped before it lets anything go"
            async with agent(settings, stops, done):
                began = time.monotonic()
                await switch("agent:data", on=True)
                await until(lambda: len(done) == 20)
                assert time.monotonic() - began < 15


async def test_work_stopped_in_the_middle_is_parked_and_restarted_when_allowed(settings, topics, switch):
    done, begun = [], []
    async with (
        timekeeping(settings) as (keeper, _),
        following(settings) as stops,
        agent(settings, stops, done, begun) as (broker, consumer),
    ):
        await publish(broker, records(settings, [handoff(1, "acme")]))
        await until(lambda: begun)
        await switch("run:run-acme-1", on=False)
        await until(lambda: keeper.timers.parked == 1)
        assert (consumer.in_flight, done) == (0, [])
        await switch("run:run-acme-1", on=True)
        await until(lambda: len(done) == 1)
        assert len(begun) == 2


async def test_a_parked_record_comes_back_when_the_time_of_its_work_is_over(settings, topics, switch, monkeypatch):
    monkeypatch.setattr("shared.bus.parking.SHORTEST", timedelta(seconds=0.1))
    came: list[str] = []
    async with timekeeping(settings) as (_, _), following(settings) as stops:
        await switch("all", on=False)
        await until(lambda: stops.reason(StopScope("acme", "data", "x")))
        parked, handle_reason = [], stops.reason

        def noted(whose):
            came.append(whose.run)
            return handle_reason(whose)

        monkeypatch.setattr(type(stops), "reason", lambda self, whose: noted(whose))
        async with agent(settings, stops, parked) as (broker, _):
            await publish(broker, records(settings, [handoff(1, "acme", deadline=1.0)]))
            await until(lambda: came.count("run-acme-1") >= 2)
        assert parked == []


async def test_a_run_shows_what_of_it_is_parked(settings, topics, switch, sentinel):
    store = RunStore(sentinel, 60)
    await begin(store, "run-p")
    async with serving(settings) as gateway:
        assert (await gateway.get("/v1/runs/run-p")).json()["parked"] == []
        await switch("agent:data", on=False)
        async with asyncio.timeout(20):
            while not (found := (await gateway.get("/v1/runs/run-p")).json()["parked"]):
                await asyncio.sleep(0.05)
        [parked] = found
        assert (parked["agent"], parked["reason"]) == ("data", "agent:data was stopped by eva: enough")
        await cancel(store, "default", "run-p")
        assert (await gateway.get("/v1/runs/run-p")).json()["parked"] == []


async def test_timers_beyond_what_memory_may_hold_fire_all_the_same(settings, topics):
    """Throttled tasks: contents beyond the bound stay in Kafka until they are due."""
    done: list[str] = []
    everything = [handoff(number, "acme", size=10_000) for number in range(300)]
    due = datetime.now(UTC) + timedelta(seconds=5)
    now, prefix = datetime.now(UTC), settings.topic_prefix
    async with (
        timekeeping(settings, most_kept=500_000) as (keeper, _),
        following(settings) as stops,
        agent(settings, stops, done) as (broker, _),
    ):
        setting = [
            bus.delay(each, due, table="retries.data", source="/t", prefix=prefix, now=now)
            for each in records(settings, everything)
        ]
        await publish(broker, setting)
        await until(lambda: len(keeper.timers) == 300)
        assert 400_000 < keeper.timers.kept <= 500_000
        await until(lambda: len(done) == 300)
        await until(lambda: not len(keeper.timers))
        assert keeper.timers.kept == 0
    assert sorted(done) == sorted(each.id for each in everything)


async def test_work_that_is_parked_again_while_its_first_timer_is_erased_is_not_lost(
    settings, topics, switch, monkeypatch
):
    monkeypatch.setattr("shared.bus.parking.SHORTEST", timedelta(seconds=1))
    done = []
    async with timekeeping(settings) as (keeper, _), following(settings) as stops:
        await switch("all", on=False)
        await until(lambda: stops.reason(StopScope("acme", "data", "x")))
        async with agent(settings, stops, done) as (broker, _consumer):
            await publish(broker, records(settings, [handoff(n, "acme", deadline=0.1) for n in range(100)]))
            await until(lambda: keeper.timers.parked == 100)
            await asyncio.sleep(4)  # they come back and are parked again, several times
            await switch("all", on=True)
            await until(lambda: len(set(done)) == 100)
