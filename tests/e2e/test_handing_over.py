"""Agents that hand work to each other, as processes of their own: paths, storms with kills, the views of people."""

import asyncio
import json
import os
import random
import signal
from uuid import uuid4

import pytest

from schemas.brief import Brief
from tests.support.swarm import CSV, follow, listening, result_for, result_of, scripted, submit

pytestmark = pytest.mark.broker

FILES = {"attachments": [{"name": "visitors.csv", "text": CSV}]}
ROUTE = {"data": "research", "research": "code", "code": "data"}
FINDINGS = {"answer": "It is 400.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


@pytest.fixture
def prefix(swarm):
    return swarm._environment["WAGGLE_TOPIC_PREFIX"]


def handing(agent: str, to: str, marker: str, **more) -> dict:
    """The scenario of an agent whose model hands on, whenever it is asked."""
    arguments = {"to": to, "request": f"{agent} asks {to}", "found": f"{agent} found {marker}", **more}
    return {
        "when": {"agent": agent, "objective": marker},
        "reply": {"calls": [{"name": "hand_off", "arguments": arguments}]},
    }


async def everything(consumer) -> list[dict]:
    """Everything there is, read until nothing more comes for a while."""
    found = []
    while batches := await consumer.getmany(timeout_ms=1_500):
        found += [json.loads(each.value) for records in batches.values() for each in records]
    return found


async def steps_of(swarm, prefix: str, run_id: str) -> list[dict]:
    """Every step that was sent to an agent in the run, in any order."""
    topics = [f"{prefix}agents.{name}" for name in (*ROUTE, "communication")]
    async with listening(swarm, *topics) as consumer:
        return [each for each in await everything(consumer) if each["run_id"] == run_id and "step_id" in each]


async def test_the_simulated_model_hands_the_work_along_the_path_that_the_objective_names(swarm, gateway, prefix):
    objective = "Summarise visitors.csv, hand it to research, then to communication"
    run_id = await submit(gateway, objective, shape="swarm", agent="data", context=FILES)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert [(each["agent"], each["handed_to"]) for each in result["steps"]] == [
        ("data", "research"),
        ("research", "communication"),
        ("communication", None),
    ]
    steps = sorted(await steps_of(swarm, prefix, run_id), key=lambda step: step["hop"])
    assert [each["hop"] for each in steps] == [1, 2, 3]
    assert [each["path"] for each in steps] == [["data"], ["data", "research"], ["data", "research", "communication"]]
    assert [each["parent_id"] for each in steps[1:]] == [f"{each['id']}/answer" for each in steps[:2]]
    assert {each["objective"] for each in steps} == {objective}
    for each in steps[1:]:
        assert Brief.model_validate(each["handed"]["brief"]).digest == each["handed"]["digest"]


async def test_a_swarm_without_a_first_agent_is_routed_by_the_planner(gateway):
    run_id = await submit(gateway, "Summarise visitors.csv", shape="swarm", context=FILES)
    result = await result_of(gateway, run_id)
    assert (result["status"], [each["agent"] for each in result["steps"]]) == ("complete", ["data"])


async def test_a_viewer_sees_each_handoff_in_the_trace(gateway):
    run_id = await submit(
        gateway, "Summarise visitors.csv, hand it to research", shape="swarm", agent="data", context=FILES
    )
    await result_of(gateway, run_id)
    trace = (await gateway.get(f"/v1/runs/{run_id}/trace")).json()
    first = next(each for each in trace["works"] if each["id"] == "data")
    assert first["attempts"][0]["status"] == "handed over"
    assert first["attempts"][0]["note"].startswith("→ research: ")
    run = (await gateway.get(f"/v1/runs/{run_id}")).json()
    assert [each["handed_to"] for each in run["steps"]] == ["research", None]


async def test_models_that_always_hand_on_end_in_one_result_with_all_briefs_though_agents_are_killed(
    swarm, gateway, prefix, model
):
    marker = f"storm {uuid4().hex[:8]}"
    for agent, to in ROUTE.items():
        await scripted(model, handing(agent, to, marker))
    chance = random.Random(14)
    async with listening(swarm, prefix + "results") as results:
        runs = [await submit(gateway, f"{marker} {n}", shape="swarm", agent="data", context=FILES) for n in range(4)]
        ended = asyncio.gather(*(follow(gateway, run_id) for run_id in runs))
        while not ended.done():
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            name = chance.choice(sorted(ROUTE))
            victim = next(each for each in swarm._children if each.name == name)
            if victim.pid and not ended.done():
                os.kill(victim.pid, signal.SIGKILL)
                await asyncio.wait_for(victim.await_ready(), 30)
        await ended
        found = await everything(results)
    for run_id in runs:
        (result,) = [each for each in found if each["run_id"] == run_id]
        assert result["status"] == "failed"
        assert result["error"]["code"] == "loop"
        assert len(result["steps"]) <= 12
        handed = [each for each in result["steps"] if each["handed_to"]]
        assert len(handed) >= 3, "the bound was reached before a loop showed"
        assert all(f"{each['agent']} found {marker}" in result["answer"] for each in handed)
        sent = await steps_of(swarm, prefix, run_id)
        assert len({each["work_id"] for each in sent}) == len(result["steps"]), "a handoff was made twice"


async def test_the_last_agent_that_the_budget_permits_answers(gateway, model):
    marker = f"bound {uuid4().hex[:8]}"
    for agent, to in ROUTE.items():
        await scripted(model, handing(agent, to, marker) | {"times": 1})
    await scripted(model, {"when": {"objective": marker, "agent": "code"}, "reply": {"json": FINDINGS}})
    run_id = await submit(gateway, marker, shape="swarm", agent="research", budget={"steps": 2})
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert [each["agent"] for each in result["steps"]] == ["research", "code"]
    assert any("last of the 2 agents" in each for each in result["caveats"])


async def test_a_task_of_a_swarm_with_an_unknown_first_agent_is_refused(swarm, gateway, prefix):
    task = {"objective": "o", "shape": "swarm", "agent": "accounting", "budget": {"seconds": 1}}
    async with listening(swarm, prefix + "results") as results:
        accepted = (await gateway.post("/v1/tasks", json=task)).json()
        result = await result_for(results, accepted["task_id"])
    assert (result["status"], result["error"]["code"]) == ("rejected", "unknown_agent")
