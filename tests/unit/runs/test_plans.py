"""Plans: which can be carried out, what can start, what builds on what. Checked against plain definitions."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.plan import AgentCard, Plan, PlannedStep
from schemas.task import Task
from shared.runs import Run, StepRecord
from shared.runs.planning import ancestors, descendants, last_steps, problems, ready_steps
from tests.support.run_world import AGENTS, START, plan_of

IDS = st.sampled_from("abcde")
STEPS = st.builds(
    PlannedStep,
    id=IDS,
    objective=st.just("do it"),
    agent=st.sampled_from(["data", "data", "code", "planner", "nobody"]),
    tools=st.lists(st.sampled_from(["data-tool", "code-tool"]), max_size=1),
    depends_on=st.lists(IDS, max_size=2),
)
WITH_PLANNER = AGENTS | {"planner": AgentCard(name="planner", description="plans", plannable=False)}


def run_of(plan: Plan, *done: str) -> Run:
    """A run that carries out the plan; the named steps are done."""
    steps = {
        each.id: StepRecord(step=each, status="done" if each.id in done else "waiting", attempts_since_resume=1)
        for each in plan.steps
    }
    about = {"id": "run-1", "task_id": "task-1", "tenant": "default", "task": Task(objective="do it")}
    return Run(**about, started=START, deadline=START + timedelta(minutes=2), plan=plan, steps=steps)


def can_be_ordered(plan: Plan) -> bool:
    """True if the steps can be done one by one, each after all its dependencies."""
    done: set[str] = set()
    left = list(plan.steps)
    while startable := [each for each in left if set(each.depends_on) <= done]:
        done |= {each.id for each in startable}
        left = [each for each in left if each not in startable]
    return not left


def builds_on(needs: dict[str, set[str]], key: str) -> set[str]:
    """All that a step builds on, by definition: what it needs, and what that builds on."""
    return needs[key].union(*(builds_on(needs, each) for each in needs[key]))


def can_be_carried_out(plan: Plan, task: Task) -> bool:
    cards = {name: card for name, card in WITH_PLANNER.items() if card.plannable}
    return (
        len({each.id for each in plan.steps}) == len(plan.steps) <= task.budget.steps
        and (task.shape != "router" or len(plan.steps) == 1)
        and all(each.agent in cards for each in plan.steps)
        and all({tool.name for tool in cards[each.agent].tools} >= set(each.tools) for each in plan.steps)
        and can_be_ordered(plan)
    )


@given(
    st.builds(Plan, steps=st.lists(STEPS, min_size=1, max_size=5)),
    st.sampled_from(["auto", "supervisor", "router"]),
    st.integers(1, 5),
)
def test_a_plan_has_problems_exactly_if_it_cannot_be_carried_out(plan, shape, most):
    task = Task(objective="do it", shape=shape, budget={"steps": most})
    found = problems(plan, task, WITH_PLANNER)
    assert (found == []) == can_be_carried_out(plan, task)
    assert found == problems(plan, task, dict(reversed(WITH_PLANNER.items())))


@given(st.permutations("abcde"), st.data())
def test_any_plan_without_circles_is_accepted_and_can_be_worked_off_to_the_end(order, data):
    needs = {key: data.draw(st.sets(st.sampled_from(order[:n]))) if n else set() for n, key in enumerate(order)}
    plan = plan_of(**{key: " ".join(sorted(needs[key])) for key in data.draw(st.permutations("abcde"))})
    assert problems(plan, Task(objective="do it"), AGENTS) == []
    done: set[str] = set()
    while started := {record.step.id for record in ready_steps(run_of(plan, *done))}:
        assert all(needs[key] <= done for key in started)
        done |= started
    assert done == set("abcde")


@given(st.permutations("abcde"), st.data())
def test_dependents_are_found_across_all_steps_in_the_order_of_the_plan(order, data):
    needs = {key: data.draw(st.sets(st.sampled_from(order[:n]))) if n else set() for n, key in enumerate(order)}
    run = run_of(plan_of(**{key: " ".join(sorted(needs[key])) for key in order}))
    for key in order:
        above = builds_on(needs, key)
        assert [record.step.id for record in ancestors(run, key)] == [each for each in order if each in above]
        assert descendants(run, [key]) == [each for each in order if each == key or key in builds_on(needs, each)]
    assert last_steps(run) == [key for key in order if not any(key in needs[each] for each in order)]


def test_all_problems_of_a_plan_are_reported_at_once_so_that_one_new_plan_can_fix_them():
    steps = [
        PlannedStep(id="a", objective="x", agent="nobody", depends_on=["b"]),
        PlannedStep(id="b", objective="x", agent="data", tools=["hammer"], depends_on=["a", "z"]),
    ]
    found = " ".join(problems(Plan(steps=steps), Task(objective="do it", budget={"steps": 1}), AGENTS))
    for word in ("exceed the budget of 1", "agent `nobody`", "tool `hammer`", "depends on `z`", "cycle"):
        assert word in found


def test_a_step_id_used_twice_is_a_problem_of_its_own():
    twice = [PlannedStep(id="a", objective="x", agent="data")] * 2
    assert problems(Plan(steps=twice), Task(objective="do it"), AGENTS) == ["step id `a` is used twice"]


def test_an_agent_that_takes_no_steps_cannot_be_planned_and_is_not_offered():
    plan = Plan(steps=[PlannedStep(id="a", objective="x", agent="planner")])
    (problem,) = problems(plan, Task(objective="do it"), WITH_PLANNER)
    assert problem.endswith("known agents: code, data, research")
