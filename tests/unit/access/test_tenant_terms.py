"""Tenants and tiers: what a file may say, what a task gets, what is refused, and that it stays so."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.budget import Budget, DayBudget
from schemas.event import PlanRefused, RunStarted, State
from schemas.step import DoStep, MakePlan
from schemas.task import Task
from shared.access.tenants import day_budget, grant, read_tenants
from shared.bus import encode
from shared.config import Settings
from shared.errors import Misconfigured
from shared.runs import Intake, decide
from shared.service.policies import load_policies
from tests.support.run_world import AGENTS, World, plan_of

FILE = """
unknown = "free"

[tiers.free]
budget = {tokens = 10_000, cost_usd = 0.1}
most = {tokens = 20_000, seconds = 60}
day = {tokens = 50_000}
tasks_per_minute = 5
agents = ["data", "research"]
tools = ["data-tool"]

[tiers.pro]

[tenants.acme]
tier = "free"
budget = {tokens = 15_000}
day = {cost_usd = 5}
agents = ["data"]

[tenants.big]
tier = "pro"
"""


@pytest.fixture
def declare(tmp_path):
    def declared(text: str):
        path = tmp_path / f"{abs(hash(text))}.toml"
        path.write_text(text)
        return path

    return declared


@pytest.fixture
def tenants(declare):
    return read_tenants(declare(FILE))


def test_without_a_file_a_task_stays_as_it_came():
    task = Task(objective="count", tenant="anybody")
    assert grant(task, read_tenants(None)) == (task, None)


def test_a_limit_is_the_tasks_own_or_the_tenants_or_its_tiers_or_the_usual_one_up_to_what_may_be_asked_for(tenants):
    task, refused = grant(Task(objective="count", tenant="acme", budget=Budget(tool_calls=3)), tenants)
    assert refused is None
    assert task.budget == Budget(tool_calls=3, tokens=15_000, cost_usd=0.1, seconds=60)
    assert task.budget.model_fields_set == set(Budget.model_fields)


@pytest.mark.parametrize("tokens", [20_000, Budget().tokens])
def test_a_limit_that_is_set_counts_as_set_also_if_it_is_the_usual_one(tenants, tokens):
    task, refused = grant(Task(objective="count", tenant="big", budget=Budget(tokens=tokens)), tenants)
    assert (task.budget.tokens, refused) == (tokens, None)


def test_more_than_a_tenant_may_ask_for_is_refused_with_the_limits_it_passes(tenants):
    asked = Task(objective="count", tenant="acme", budget=Budget(tokens=20_001, seconds=61, steps=40))
    task, refused = grant(asked, tenants)
    assert task is asked
    assert refused.code == "over_limit"
    assert "budget.tokens is 20001, tenant `acme` may ask for 20000 at most" in refused.message
    assert "budget.seconds is 61" in refused.message
    assert "steps" not in refused.message


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"agents": ["data", "code"]}, "may not use the agents code; it may use: data"),
        ({"agent": "research", "shape": "single"}, "may not use the agents research; it may use: data"),
        ({"tools": ["send_email"]}, "may not use the tools send_email; it may use: data-tool"),
    ],
)
def test_a_feature_the_tenant_lacks_cannot_be_requested(tenants, asked, said):
    _, refused = grant(Task(objective="count", tenant="acme", **asked), tenants)
    assert refused.code == "not_permitted"
    assert said in refused.message


def test_a_tenant_without_an_entry_is_of_the_tier_for_unknown_ones_or_turned_away(tenants, declare):
    assert grant(Task(objective="count", tenant="new"), tenants)[0].budget.tokens == 10_000
    closed = read_tenants(declare("[tenants.acme]\n"))
    assert grant(Task(objective="count", tenant="new"), closed)[1].code == "unknown_tenant"
    assert grant(Task(objective="count", tenant="acme"), closed) == (
        Task(objective="count", tenant="acme", budget=Budget()),
        None,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tiers.free]\nbudget = {tokns = 1}", "tiers.free.budget.tokns: there is no such entry"),
        ("[tiers.free]\ntoken = 1", "tiers.free.token: there is no such entry"),
        ("[tiers.free]\nmost = {seconds = 0}", "tiers.free.most.seconds: Input should be greater than 0"),
        ("[tiers.free]\nagents = []", "tiers.free.agents: Tuple should have at least 1 item"),
        ("[tiers.free]\ntasks_per_minute = 0", "tiers.free.tasks_per_minute"),
        ('[tenants."A B"]', "tenants.A B"),
        ('[tenants.acme]\ntier = "gold"\n[tiers.free]', "tenants.acme.tier: there is no tier `gold`; there are: free"),
        ('[tenants.acme]\ntier = "reject"', "tenants.acme.tier: there is no tier `reject`"),
        ('unknown = "free"', "unknown: there is no tier `free`; there are: none"),
        ("[tiers.reject]", "tiers.reject: no tier can have this name"),
        ("[tiers.f]\nbudget = {tokens = 2}\nmost = {tokens = 1}", "tiers.f.budget.tokens is 2, more than tiers.f.most"),
        (
            '[tiers.f]\nmost = {tokens = 1}\n[tenants.acme]\ntier = "f"\nbudget = {tokens = 2}',
            "tenants.acme.budget.tokens is 2, more than tenants.acme.most.tokens, which is 1",
        ),
        ("[tiers", "is not TOML"),
    ],
)
def test_a_wrong_entry_is_named(declare, text, said):
    with pytest.raises(Misconfigured, match=re.escape(said)):
        read_tenants(declare(text))


def test_a_service_does_not_start_with_a_file_that_is_not_there(tmp_path):
    with pytest.raises(Misconfigured, match=r"WAGGLE_TENANTS: .*none.toml cannot be read: No such file"):
        load_policies(Settings(tenants=tmp_path / "none.toml"))


def test_a_days_limits_are_the_tenants_before_its_tiers_before_everybodys(declare):
    settings = Settings(tenants=declare(FILE), day_tokens=1, day_model_calls=7)
    assert day_budget(settings, "acme") == DayBudget(tokens=50_000, cost_usd=5, model_calls=7)
    assert day_budget(settings, "big") == DayBudget(tokens=1, model_calls=7)
    assert day_budget(Settings(day_tokens=1), "acme") == DayBudget(tokens=1)


def test_the_file_for_kubernetes_lets_every_tenant_do_everything_until_it_is_changed():
    tenants = read_tenants(Path(__file__).parents[3] / "k8s" / "overlays" / "production" / "rules" / "tenants.toml")
    granted, refused = grant(Task(objective="count", tenant="anybody"), tenants)
    assert (granted, refused) == (Task(objective="count", tenant="anybody", budget=Budget()), None)


@given(st.sets(st.sampled_from(sorted(Budget.model_fields))))
def test_fields_omitted_by_a_caller_stay_omitted_on_the_wire(names):
    task = Task(objective="count", budget=Budget(**{name: getattr(Budget(), name) for name in names}))
    record = encode(task, id="t", source="/test", prefix="", now=datetime.now(UTC))
    assert Task.read(record.value) == task
    assert Task.read(record.value).budget.model_fields_set == names


def started(tenants, **task) -> World:
    granted, refused = grant(Task(objective="count", **task), tenants)
    world = World(granted)
    world.tell(Intake("run-1", "task-1", granted, refused=refused))
    return world


def test_granted_limits_are_in_the_recorded_event_so_that_a_rebuild_needs_no_file(tenants):
    world = started(tenants, tenant="acme")
    [begun] = [each for each in world.events if isinstance(each, RunStarted)]
    read = RunStarted.read(begun.model_dump_json()).task
    assert (read.budget.tokens, read.agents, read.tools) == (15_000, ["data"], ["data-tool"])
    assert read.budget.model_fields_set == set(Budget.model_fields)


def test_a_refused_task_ends_rejected_with_the_reason(tenants):
    world = started(tenants, tenant="acme", budget=Budget(tokens=99_999))
    assert (world.run.state, world.run.error.code) == (State.REJECTED, "over_limit")


def test_the_planner_sees_only_the_agents_of_its_tenant_and_can_plan_with_no_other(tenants):
    world = started(tenants, tenant="new")
    [asked] = world.waiting(MakePlan)
    assert {card.name: [tool.name for tool in card.tools] for card in asked.agents} == {
        "data": ["data-tool"],
        "research": [],
    }
    plan = plan_of(a="")
    world.plan(plan.model_copy(update={"steps": [plan.steps[0].model_copy(update={"agent": "code"})]}))
    [refused] = [each for each in world.events if isinstance(each, PlanRefused)]
    assert refused.problems == ["step `a` names unknown agent `code`; known agents: data, research"]


def test_a_plan_cannot_want_a_tool_that_the_tenant_may_not_use(tenants):
    world = started(tenants, tenant="new")
    plan = plan_of(a="")
    step = plan.steps[0].model_copy(update={"agent": "research", "tools": ["research-tool"]})
    world.plan(plan.model_copy(update={"steps": [step]}))
    assert any("wants tool `research-tool`" in problem for problem in world.run.feedback)


def test_every_handoff_says_what_may_be_called(tenants):
    world = started(tenants, tenant="acme")
    assert world.waiting(MakePlan)[0].permitted == ["data-tool"]
    world.plan(plan_of(a=""))
    assert world.waiting(DoStep)[0].permitted == ["data-tool"]


def test_a_task_may_narrow_what_its_tenant_may_use_but_not_widen_it():
    decided = decide(None, Intake("r", "t", Task(objective="x", agents=["code"], tools=[])), datetime.now(UTC), AGENTS)
    [asked] = [each.message for each in decided.messages if isinstance(each.message, MakePlan)]
    assert [(card.name, card.tools) for card in asked.agents] == [("code", [])]
    assert asked.permitted == []
