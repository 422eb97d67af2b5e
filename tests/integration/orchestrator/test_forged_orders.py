"""Orders on a topic that their giver may write, but on which they do not belong: none is obeyed, each is visible."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.approval import CancelRun, HumanDecided, PauseRun
from schemas.event import State
from schemas.step import Output, StepCompleted
from schemas.timer import DeadlinePassed, ResultDue, TimerSet, WaitExpired
from shared import bus
from shared.blackboard.attempts import Attempts
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.bus.groups import ORCHESTRATED
from tests.support.gateway_fixtures import records_of
from tests.support.keeping_time import timekeeping
from tests.support.orchestrating import RUN, handoff_of, task

ABOUT = {"run_id": RUN, "tenant": "default"}


@pytest.fixture
async def consuming(orchestrator, settings):
    """The orchestrator behind a consumer of all its topics; its run of one step is underway."""
    await orchestrator.handle(task())
    broker, prefix = bus.connect(settings, "orchestrator-consumer"), settings.topic_prefix

    async def ready():
        pass

    deliver = Deliverer(
        broker=broker,
        service="orchestrator",
        prefix=prefix,
        handle=orchestrator.handle,
        on_dead=orchestrator.on_dead,
        outages=bus.OUTAGES,
        ready=ready,
        metrics=orchestrator.parts.metrics,
        attempts=Attempts(orchestrator.parts.redis),
    )
    topics = [prefix + topic for topic in ORCHESTRATED]
    consumer = KeyedConsumer(broker, topics, prefix + "orchestrator", deliver, settings)
    await broker.start()
    consumer.start()
    yield broker
    await consumer.stop(grace=1.0)
    await broker.stop()


async def forge(broker, settings, message, topic: str, id: str = "forged") -> None:
    record = encode(message, id=id, source="/anybody", prefix=settings.topic_prefix, now=datetime.now(UTC), key=RUN)
    await publish(broker, [record.model_copy(update={"topic": settings.topic_prefix + topic})])


async def reason(settings, topic: str) -> str:
    """The error of the topic's first dead letter."""
    [letter] = await records_of(settings, topic + ".dlt", 1)
    return dict(letter.headers)["dlt-error"].decode()


async def test_orders_and_answers_on_the_topic_of_tasks_are_dead_letters(consuming, orchestrator, settings):
    handoff = await handoff_of(orchestrator)
    answer = {"id": f"{handoff}/answer", "agent": "data", "handoff_id": handoff, "output": Output(answer="FORGED")}
    now = datetime.now(UTC)
    orders = [
        HumanDecided(**ABOUT, by="me", request_id=f"{RUN}/help/1", decision="approve"),
        StepCompleted(**ABOUT, **answer),
        CancelRun(**ABOUT, by="me", reason="r"),
        PauseRun(**ABOUT, by="me", reason="r"),
        TimerSet(due=now, topic="decisions", key=RUN, headers={}, value="{}"),
    ]
    before = await orchestrator.parts.runs.load("default", RUN)
    for number, order in enumerate(orders):
        await forge(consuming, settings, order, "tasks", f"forged-{number}")
    letters = await records_of(settings, "tasks.dlt", len(orders))
    assert [dict(each.headers)["dlt-error"] for each in letters] == [b"wrong_topic"] * len(orders)
    assert await orchestrator.parts.runs.load("default", RUN) == before


async def test_a_forged_answer_is_a_dead_letter_and_the_genuine_one_is_taken(consuming, orchestrator, settings):
    handoff = await handoff_of(orchestrator)
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    about = ABOUT | {"id": f"{handoff}/answer", "agent": "data", "handoff_id": handoff}
    forged = StepCompleted(**about, output=Output(answer="FORGED"), usage={"model_calls": 70})
    await forge(consuming, settings, forged, "runs", forged.id)
    assert await reason(settings, "runs") == "wrong_token"
    after = (await orchestrator.parts.runs.load("default", RUN)).run
    assert (after.steps["data"].status, after.usage) == ("running", run.usage)
    assert orchestrator.parts.metrics.answers_refused.labels("wrong_token")._value.get() == 1
    [sent] = await records_of(settings, "agents.data", 1)
    token = bus.decode(sent, settings.topic_prefix).message.token
    genuine = StepCompleted(**about, token=token, output=Output(answer="3"))
    await forge(consuming, settings, genuine, "runs", genuine.id)
    async with asyncio.timeout(20):
        while (await orchestrator.parts.runs.load("default", RUN)).run.state is not State.REVIEWING:
            await asyncio.sleep(0.02)


TIMERS = [
    DeadlinePassed(**ABOUT),
    WaitExpired(**ABOUT, request_id=f"{RUN}/help/1"),
    ResultDue(**ABOUT, end=0),
]


@pytest.mark.parametrize("timer", TIMERS, ids=lambda each: type(each).__name__)
async def test_a_forged_timer_is_a_dead_letter(consuming, orchestrator, settings, timer):
    await forge(consuming, settings, timer, "runs")
    assert await reason(settings, "runs") == "wrong_token"


async def test_an_agents_timer_that_names_the_topic_of_decisions_is_a_dead_letter(consuming, settings):
    timer = TimerSet(due=datetime.now(UTC), topic="decisions", key=RUN, headers={}, value="{}")
    async with timekeeping(settings):
        await forge(consuming, settings, timer, "retries.data")
        assert await reason(settings, "retries.data") == "forbidden_target"
