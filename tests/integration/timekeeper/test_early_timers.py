"""Timers of a clock that is ahead, agents that announce themselves late, and timers of runs that are not known."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.event import State
from schemas.task import Task
from schemas.timer import DeadlinePassed, WaitExpired
from services.orchestrator import preconditions
from services.orchestrator.preconditions import require_agents
from shared.agent import execution
from shared.blackboard import keys
from shared.errors import RetryableError
from shared.runs import Intake, decide, run_id_for
from shared.runs.tokens import DEADLINE, token_for
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, task

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def run_of(orchestrator):
    return (await orchestrator.parts.runs.load("default", RUN)).run


def passed(run, **more):
    about = {"run_id": RUN, "tenant": "default", "deadline": run.deadline, "token": token_for(run, DEADLINE)} | more
    return delivery(DeadlinePassed(**about), "deadline-1")


async def test_a_deadline_that_comes_early_is_set_again_by_the_clock_that_fired_it(orchestrator):
    await orchestrator.handle(task())
    run = await run_of(orchestrator)
    with pytest.raises(RetryableError) as early:
        await orchestrator.handle(passed(run))
    ahead = (run.deadline - datetime.now(UTC)).total_seconds()
    assert (early.value.code, early.value.exact) == ("early", True)
    assert early.value.after == pytest.approx(2 * ahead, abs=20)
    assert (await run_of(orchestrator)).state is State.EXECUTING


def test_the_same_timer_ends_the_run_once_its_deadline_has_passed_by_our_clock():
    intake = Intake("run-1", "t1", Task(objective="o"))
    run = decide(None, intake, NOW, {}).run
    message = DeadlinePassed(run_id="run-1", tenant="default", deadline=run.deadline)
    with pytest.raises(RetryableError):
        decide(run, message, run.deadline - timedelta(seconds=60), {})
    assert decide(run, message, run.deadline, {}).run.state is State.FAILED


async def test_a_timer_of_a_deadline_that_was_moved_changes_nothing(orchestrator):
    await orchestrator.handle(task())
    run = await run_of(orchestrator)
    await orchestrator.handle(passed(run, deadline=run.deadline - timedelta(seconds=30)))
    assert (await run_of(orchestrator)).state is State.EXECUTING


@pytest.mark.parametrize("timer", [DeadlinePassed, WaitExpired])
async def test_a_timer_of_a_run_that_is_not_known_is_counted_and_said(orchestrator, capfd, timer):
    about = {"run_id": "run-gone", "tenant": "default"}
    more = {"request_id": "r"} if timer is WaitExpired else {}
    await orchestrator.handle(delivery(timer(**about, **more), "t9"))
    [family] = orchestrator.parts.metrics.stray_timers.collect()
    assert family.samples[0].value == 1


def test_a_deadline_that_has_passed_by_the_clock_of_this_host_alone_ends_no_step():
    ahead = datetime.now(UTC) - execution.SKEW / 2
    assert execution.seconds_until(ahead) > 60
    assert execution.seconds_until(ahead - execution.SKEW) == 0


async def test_a_task_before_its_agent_waits_for_it_and_is_done_when_it_has_come(orchestrator, redis, sentinel):
    early = delivery(Task(objective="o", shape="single", agent="late", idempotency_key="k2"), "t2")
    with pytest.raises(RetryableError) as waits:
        await orchestrator.handle(early)
    assert (waits.value.code, waits.value.after) == ("unknown_agent", preconditions.AGENTS_AWAITED[0])
    assert await redis.exists(keys.run("default", run_id_for("default", "k2"))) == 0


LATE = Task(objective="o", shape="single", agent="late", budget={"seconds": 600})


@pytest.mark.parametrize(
    ("task", "attempt", "waits"),
    [
        (LATE, 1, True),
        (LATE, 6, True),
        (LATE, 7, False),
        (LATE.model_copy(update={"deadline": NOW + timedelta(seconds=4)}), 1, False),
        (Task(objective="o", budget={"seconds": 600}), 1, True),
        (Task(objective="o", budget={"seconds": 4}), 1, False),
    ],
)
def test_an_agent_is_awaited_for_minutes_but_never_past_the_time_of_its_task(task, attempt, waits):
    try:
        require_agents(Intake("run-1", "t1", task), attempt, {}, NOW)
    except RetryableError:
        assert waits
    else:
        assert not waits


async def test_the_answers_of_a_run_still_count_after_an_early_timer(orchestrator):
    await orchestrator.handle(task())
    with pytest.raises(RetryableError):
        await orchestrator.handle(passed(await run_of(orchestrator)))
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    assert (await run_of(orchestrator)).state is State.REVIEWING
