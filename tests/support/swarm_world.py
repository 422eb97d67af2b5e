"""A run of shape `swarm` around the pure core: agents that hand over, as a test chooses."""

from typing import Any

from schemas.brief import Brief
from schemas.fact import Fact
from schemas.plan import AgentCard
from schemas.step import DoStep, HandedOff
from schemas.step_events import StepHandedOff
from schemas.task import Task
from tests.support.run_world import World


def swarm(agents: int = 0, **task: Any) -> World:
    """A started run; `agent` names the first one. `agents`: a limit of `budget.steps`."""
    about = {"objective": "find out", "shape": "swarm", "agent": "research"} | task
    if agents:
        about["budget"] = {"steps": agents}
    return World(Task.model_validate(about)).start()


def brief_of(number: int | str, **changes: Any) -> Brief:
    """A brief with something new in it."""
    fact = Fact(name=f"fact-{number}", value=str(number))
    about = {"request": f"request {number}", "found": f"found {number}", "facts": [fact]}
    return Brief.model_validate(about | changes)


def working(world: World) -> DoStep:
    """The one step that is being worked on."""
    (step,) = world.waiting(DoStep)
    return step


def hand(world: World, to: str, brief: Brief | None = None, **facts: Any) -> DoStep:
    """Let the agent at work hand over; return the step that it worked on."""
    step = working(world)
    said = brief or brief_of(step.step_id)
    world.tell(handed(world, step, to, said, **facts))
    return step


def handed(world: World, step: DoStep, to: str, brief: Brief, **facts: Any) -> HandedOff:
    """The answer of an agent that hands over."""
    about = {"to": to, "brief": brief, "brief_digest": brief.digest} | facts
    answer = world.answer(step, HandedOff, **about)
    assert isinstance(answer, HandedOff)
    return answer


def handoffs(world: World) -> list[StepHandedOff]:
    return [each for each in world.events if isinstance(each, StepHandedOff)]


def named(*names: str) -> dict[str, AgentCard]:
    return {name: AgentCard(name=name, description=f"{name} does {name}") for name in names}
