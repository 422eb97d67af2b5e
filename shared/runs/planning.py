"""Validation of plans, and the order of their steps."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from schemas.plan import PLANNER, REVIEWER, WRITER, AgentCard, Plan, PlannedStep
from schemas.task import Shape, Task
from shared.runs.run import Run, StepRecord

Agents = Mapping[str, AgentCard]
"""Agents of the swarm by name, as announced."""


def problems(plan: Plan, task: Task, agents: Agents) -> list[str]:
    """Return why the plan cannot be executed, one sentence per reason; empty if it can."""
    return [
        *_count_problems(plan, task),
        *_name_problems(plan),
        *(problem for step in plan.steps for problem in _step_problems(step, plan, agents)),
        *_cycle_problems(plan),
    ]


def available_agents(agents: Agents, task: Task) -> Agents:
    """Return the agents the task may use, each with the tools it may use."""
    may = {name: card for name, card in agents.items() if task.agents is None or name in task.agents}
    if task.tools is None:
        return may
    return {name: _with_tools(card, task.tools) for name, card in may.items()}


def _with_tools(card: AgentCard, names: Iterable[str]) -> AgentCard:
    return card.model_copy(update={"tools": [tool for tool in card.tools if tool.name in names]})


def in_order(run: Run) -> list[StepRecord]:
    """Return every step after its dependencies, and otherwise in the plan's order."""
    left, placed = dict(run.steps), []
    while left:
        key = next(key for key, record in left.items() if left.keys().isdisjoint(record.step.depends_on))
        placed.append(left.pop(key))
    return placed


def ready_steps(run: Run) -> list[StepRecord]:
    """Return the waiting steps whose dependencies are all done, in the plan's order.

    Approved calls are made one step after another, as shown: after a failure the rest are not made.
    """
    if run.carried_out_by is not None:
        undone = [record for record in in_order(run) if record.status != "done"]
        return [record for record in undone[:1] if record.status == "waiting"]
    return [
        record
        for record in run.steps.values()
        if record.status == "waiting" and all(run.steps[key].status == "done" for key in record.step.depends_on)
    ]


def ancestors(run: Run, step_id: str) -> list[StepRecord]:
    """Return the direct and indirect dependencies of a step, in the plan's order."""
    found: set[str] = set()
    open_ids = [step_id]
    while open_ids:
        fresh = [key for key in run.steps[open_ids.pop()].step.depends_on if key not in found]
        found.update(fresh)
        open_ids.extend(fresh)
    return [record for key, record in run.steps.items() if key in found]


def descendants(run: Run, step_ids: Iterable[str]) -> list[str]:
    """Return the given steps and all that depend on them, in the plan's order."""
    roots = set(step_ids)
    return [key for key in run.steps if key in roots or any(record.step.id in roots for record in ancestors(run, key))]


def hops(run: Run) -> dict[str, int]:
    """Return the position of each step in its chain of dependencies, from 1."""
    found: dict[str, int] = {}
    for record in in_order(run):
        found[record.step.id] = 1 + max((found[key] for key in record.step.depends_on), default=0)
    return found


def last_steps(run: Run) -> list[str]:
    """Return the steps that no other step depends on: their outputs are the answer."""
    needed = {key for record in run.steps.values() for key in record.step.depends_on}
    return [key for key in run.steps if key not in needed]


def _count_problems(plan: Plan, task: Task) -> list[str]:
    if task.shape in (Shape.ROUTER, Shape.SWARM) and len(plan.steps) != 1:
        return [f"shape `{task.shape}` takes exactly one step, not {len(plan.steps)}"]
    if len(plan.steps) > task.budget.steps:
        return [f"{len(plan.steps)} steps exceed the budget of {task.budget.steps}"]
    return []


def _name_problems(plan: Plan) -> list[str]:
    ids = [step.id for step in plan.steps]
    twice = [f"step id `{key}` is used twice" for key in sorted({key for key in ids if ids.count(key) > 1})]
    taken = [f"step id `{key}` is taken: the part of that agent has it" for key in ids if key in _TAKEN]
    return twice + taken


_TAKEN = (PLANNER, WRITER, REVIEWER)
"""Ids by which people name the parts of a run that are no steps."""


def _step_problems(step: PlannedStep, plan: Plan, agents: Agents) -> list[str]:
    ids = {other.id for other in plan.steps}
    found = [f"step `{step.id}` depends on `{key}`, which does not exist" for key in step.depends_on if key not in ids]
    card = agents.get(step.agent)
    if card is None or not card.plannable:
        known = ", ".join(sorted(name for name, each in agents.items() if each.plannable))
        return [*found, f"step `{step.id}` names unknown agent `{step.agent}`; known agents: {known or 'none'}"]
    has = {tool.name for tool in card.tools}
    return found + [
        f"step `{step.id}` wants tool `{name}`, which agent `{step.agent}` does not have"
        for name in step.tools
        if name not in has
    ]


def _cycle_problems(plan: Plan) -> list[str]:
    try:
        TopologicalSorter({step.id: set(step.depends_on) for step in plan.steps}).prepare()
    except CycleError as cycle:
        return [f"steps depend on each other in a cycle: {' → '.join(cycle.args[1])}"]
    return []
