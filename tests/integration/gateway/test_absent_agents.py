"""Agents that a run waits for although none of their replicas runs."""

import asyncio
import time

from schemas.approval import PauseRun
from schemas.event import State
from schemas.plan import PLANNER, REVIEWER, WRITER, AgentCard
from schemas.timer import DeadlinePassed
from services.cli.checks.swarm import check_swarm
from shared.blackboard import announce, keys
from shared.blackboard.agents import SILENT_AFTER
from tests.support.gateway_fixtures import AGENTS, apply, begin, cancel


async def absent(gateway, run_id: str = "run-1") -> list[dict]:
    return (await gateway.get(f"/v1/runs/{run_id}")).json()["absent"]


async def test_an_agent_that_was_never_announced_holds_up_its_run(gateway, store):
    await begin(store, "run-1")
    assert await absent(gateway) == [{"agent": "data", "seen": None}]


async def test_an_agent_is_absent_after_it_missed_announcements_and_present_after_the_next(gateway, store, redis):
    await begin(store, "run-1")
    await announce(redis, AGENTS["data"])
    await announce(redis, AgentCard(name="code", description="no part of the run"))
    assert await absent(gateway) == []
    await redis.zadd(keys.AGENTS_SEEN, {"data": time.time() - SILENT_AFTER - 2, "code": 0})
    [found] = await absent(gateway)
    assert (found["agent"], found["seen"] is not None) == ("data", True)
    await announce(redis, AGENTS["data"])
    assert await absent(gateway) == []


async def test_the_command_line_reports_an_agent_that_stopped_announcing_itself_as_the_gateway_does(gateway, redis):
    for name in (PLANNER, WRITER, REVIEWER, "data"):
        await announce(redis, AgentCard(name=name, description="d"))
    await redis.zadd(keys.AGENTS_SEEN, {"data": time.time() - SILENT_AFTER - 10})
    found = {each.subject: each for each in await check_swarm(gateway, "", {})}
    assert found["agents"].level == "fail"
    assert found["agents"].found.startswith("no replica seems to run: data for 3")
    assert found["kill switch"].level == "ok"
    assert not {"Redis", "Kafka", "topics", "access"} & set(found)


async def test_a_run_that_failed_while_its_work_was_stopped_names_the_stop(gateway, store):
    run = await begin(store, "run-1", budget={"seconds": 0.1})
    order = {"reason": "an invoice is disputed", "by": "ops"}
    assert (await gateway.put("/v1/stops/tenant:default", json=order)).status_code == 202
    async with asyncio.timeout(10):
        while not (parked := (await gateway.get("/v1/runs/run-1")).json()["parked"]):
            await asyncio.sleep(0.05)
    failed = await apply(store, "run-1", DeadlinePassed(run_id="run-1", tenant="default", deadline=run.deadline))
    assert failed.state is State.FAILED
    assert (await gateway.get("/v1/runs/run-1")).json()["parked"] == parked
    await begin(store, "run-2")
    await cancel(store, "default", "run-2")
    assert (await gateway.get("/v1/runs/run-2")).json()["parked"] == []


async def test_a_run_that_waits_for_no_agent_is_held_up_by_none(gateway, store):
    for run_id in ("run-1", "run-2"):
        await begin(store, run_id)
    assert await absent(gateway, "run-2") != []
    await cancel(store, "default", "run-2")
    assert await absent(gateway, "run-2") == []
    await apply(store, "run-1", PauseRun(run_id="run-1", tenant="default", by="ops", reason="wait"))
    assert await absent(gateway) != [], "the answer of work in progress is awaited while the run is paused, too"
