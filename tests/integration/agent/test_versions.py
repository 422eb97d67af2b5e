"""Versions of agent, prompt, tools and model: on every turn, every answer, every step, and the agent's card."""

from datetime import UTC, datetime

import pytest

from schemas.step import StepCompleted
from schemas.step_events import StepDispatched, StepDone
from schemas.task import Task
from services.gateway.turns import turn_of
from tests.support.agent_loop import FINAL, add, agent, answer, calling, handoff, scripted, send, worker
from tests.support.run_world import World, plan_of

__all__ = ["agent", "worker"]


async def test_every_turn_and_every_answer_name_what_they_were_made_with(worker, agent, model):
    await scripted(model, agent, calling(a=1, b=2), FINAL)
    step = handoff(agent)
    reply, journal = await answer(worker, step)
    expected = agent.card.versions.model_copy(update={"model": "waggle-simulated"})
    assert reply.versions == expected
    for turn in (1, 2):
        shown = turn_of(journal.entries(), step.run_id, "s", step.work_id, 1, turn)
        assert shown.versions == expected
    assert expected.prompt.startswith("0.")


def rewritten(agent) -> None:
    agent.instructions = agent.instructions.with_name("other.md")
    agent.instructions.write_text("Calculate well.")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda agent: setattr(agent, "tools", [add, send]), "tools"),
        (lambda agent: setattr(agent, "condensed", "Calculate."), "prompt"),
        (rewritten, "prompt"),
    ],
)
def test_a_change_shows_in_the_version_of_its_part_and_of_the_agent(agent, change, part):
    before = agent.versions
    assert agent.versions == before
    change(agent)
    changed = {name for name in ("agent", "prompt", "tools") if getattr(agent.versions, name) != getattr(before, name)}
    assert changed == {"agent", part}


async def test_a_run_shows_them_at_each_step_and_in_its_result(worker, agent, model):
    agent.name = "data"  # the agent that the plan names
    await scripted(model, agent, FINAL)
    world = World(Task(objective="count", shape="supervisor"), now=datetime.now(UTC)).start()
    world.plan(plan_of(a=""))
    step = world.handoff("a")
    reply, _ = await answer(worker, step)
    assert isinstance(reply, StepCompleted)
    world.open.pop(step.id)
    world.tell(reply)
    world.review()
    assert [each.versions for each in world.events if isinstance(each, StepDispatched)] == [None]  # no card names any
    assert [each.versions for each in world.events if isinstance(each, StepDone)] == [reply.versions]
    assert [each.versions for each in world.results[0].steps] == [reply.versions]
