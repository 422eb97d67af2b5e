"""The brief of a model: bounded, however much a run has done before."""

import json

import pytest

from schemas.acting import ActingCall
from schemas.step import Output, StepOutput
from schemas.task import Task
from shared.agent.opening import opening
from shared.agent.prompt import LONGEST_DONE
from tests.support.repetition import PAY, done
from tests.support.run_world import World, plan_of


def calls(number: int) -> list[ActingCall]:
    """Records as long as a run keeps them, the oldest first."""
    long = {"arguments": "a" * 2_000, "result": json.dumps("r" * 900)}
    records = (done(PAY, {"to": f"customer {n}"}, call=f"call-{n}", reason=f"number {n}") for n in range(number))
    return [each.model_copy(update=long) for each in records]


def brief(effected: list[ActingCall] = [], dropped: int = 0, inputs: list[StepOutput] = []) -> dict:  # noqa: B006 -- only read
    world = World(Task(objective="pay", shape="supervisor")).start()
    world.plan(plan_of(a=""))
    changes = {"effected": effected, "effected_dropped": dropped, "inputs": inputs}
    step = world.handoff("a").model_copy(update=changes)
    return json.loads(opening("data", "Pay.", step, step.objective, []).messages[1]["content"])


def test_a_model_is_shown_the_newest_calls_of_a_run_in_order_and_the_number_of_the_others():
    shown = brief(calls(50), dropped=7)
    numbers = [each["reason"] for each in shown["already_done"]]
    assert 4 <= len(numbers) < 10
    assert numbers == [f"number {n}" for n in range(50 - len(numbers), 50)]
    assert shown["already_done_not_shown"] == 50 - len(numbers) + 7
    assert len(json.dumps(shown["already_done"])) <= LONGEST_DONE


def test_a_model_is_shown_all_calls_of_a_run_that_has_made_few():
    shown = brief(calls(3))
    assert len(shown["already_done"]) == 3
    assert "already_done_not_shown" not in shown


@pytest.mark.parametrize(("data", "shown"), [({"total": 3}, {"data": {"total": 3}}), (None, {})])
def test_an_earlier_step_shows_its_data_only_if_it_has_some(data, shown):
    earlier = StepOutput(step_id="b", agent="data", objective="count", output=Output(answer="three", data=data))
    output = brief(inputs=[earlier])["earlier_steps"][0]["output"]
    assert {name: output[name] for name in output if name == "data"} == shown
