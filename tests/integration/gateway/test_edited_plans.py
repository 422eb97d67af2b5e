"""Plans that a person has edited: the gateway refuses what the run could not execute, with the reasons."""

import json

import pytest

from schemas.event import State
from schemas.plan import Plan, PlannedStep, Risk
from schemas.question import Kind
from schemas.step import PlanProposed
from shared.blackboard import RunStore, announce
from tests.support.gateway_fixtures import AGENTS, apply, begin, error_of, records_of, serving
from tests.support.questions import first_asked


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        await announce(redis, AGENTS["data"])
        yield client


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


def step(**fields) -> PlannedStep:
    return PlannedStep(**{"id": "a", "objective": "pay", "agent": "data"} | fields)


async def planned(store: RunStore, run_id: str = "run-1"):
    """A run whose plan a person must approve."""
    run = await begin(store, run_id, shape="supervisor", agent=None)
    about = {"run_id": run_id, "tenant": "default", "agent": "planner", "handoff_id": run.planning.handoff_id}
    waiting = await apply(store, run_id, PlanProposed(id="p", plan=Plan(steps=[step(risk=Risk.CRITICAL)]), **about))
    assert (waiting.state, first_asked(waiting).kind) == (State.WAITING_HUMAN, Kind.PLAN)
    return waiting


def edit(run, plan) -> dict:
    return {"by": "ann", "request_id": first_asked(run).request_id, "decision": "edit", "arguments": plan}


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([step(agent="nobody")], "unknown agent `nobody`"),
        ([step(depends_on=["b"])], "depends on `b`, which does not exist"),
        ([step(tools=["send_payment"])], "wants tool `send_payment`"),
        ([step(), step()], "used twice"),
        ([step(depends_on=["b"]), step(id="b", depends_on=["a"])], "in a cycle"),
    ],
)
async def test_an_edited_plan_that_cannot_be_executed_is_refused_with_the_reason(gateway, store, steps, says):
    plan = Plan(steps=steps).model_dump(mode="json")
    answer = await gateway.post("/v1/runs/run-1/decisions", json=edit(await planned(store), plan))
    error = error_of(answer, 422)
    assert error["code"] == "invalid_plan"
    assert says in error["message"]


@pytest.mark.parametrize("plan", [{}, {"steps": []}, {"steps": "a"}, {"to": "bob"}])
async def test_an_edit_that_is_no_plan_is_refused(gateway, store, plan):
    answer = await gateway.post("/v1/runs/run-1/decisions", json=edit(await planned(store), plan))
    assert error_of(answer, 422)["code"] == "invalid_plan"


async def test_an_edited_plan_that_can_be_executed_is_accepted(gateway, store, settings):
    plan = Plan(steps=[step(objective="pay half")]).model_dump(mode="json")
    answer = await gateway.post("/v1/runs/run-1/decisions", json=edit(await planned(store), plan))
    assert answer.status_code == 202
    [record] = await records_of(settings, "decisions", 1)
    assert json.loads(json.loads(record.value)["arguments"]) == plan
