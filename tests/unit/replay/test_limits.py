"""Other limits on recorded spending: exactly the runs above them are found, with the place."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.budget import Budget, DayBudget, Usage
from schemas.event import ActionsJudged, RunStarted, Spent
from schemas.log import LoggedEvent, RunChanged
from schemas.task import Task
from shared.replay.limits import NONE, Limits, LimitsBacktest

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def run(name: str, *calls: int, budget: Budget | None = None, at: datetime = NOW, tenant: str = "default"):
    """The changes of a run that has spent so many model calls, each a tenth of a dollar, in one step after another."""
    about = {"run_id": name, "tenant": tenant, "by": "research"}
    task = Task(objective="Look", tenant=tenant, **({"budget": budget} if budget else {}))
    start = RunStarted(**about, at=at, task_id="t", task=task, deadline=at + timedelta(hours=1))
    changes = [[start]]
    for number, made in enumerate(calls, 1):
        about["at"] = at + timedelta(minutes=number)
        usage = Usage(model_calls=made, cost_usd=made / 10)
        judged = ActionsJudged(**about, handoff_id=f"{name}/step-{number}/0.1.1", judged=[])
        changes.append([Spent(**about, usage=usage, models=[]), judged])
    return [_written(name, tenant, at, number, events) for number, events in enumerate(changes, 1)]


def _written(name, tenant, at, number, events):
    logged = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in events]
    written = RunChanged(run_id=name, tenant=tenant, epoch=1, number=number, cause="c", at=at, events=logged)
    return RunChanged.read(written.written().encode())


def stopped(runs, most=None, defaults=None, day=None):
    after = Limits(defaults or {}, most or {}, DayBudget(**(day or {})))
    found = LimitsBacktest(lambda _: NONE, lambda _: after)
    for changes in runs:
        found.add(changes)
    return [(each.kind, each.run_id, each.step, each.limit) for each in [*found.stopped, *found.days()]]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, []),
        ({"most": {"model_calls": 6}}, []),
        ({"most": {"model_calls": 5}}, [("run", "long", "step-3", "model_calls")]),
        ({"most": {"cost_usd": 0.35}}, [("run", "long", "step-2", "cost_usd")]),
        ({"defaults": {"model_calls": 2}}, [("run", "long", "step-2", "model_calls")]),
        ({"day": {"model_calls": 7}}, [("day", "short", "step-2", "model_calls")]),
        ({"day": {"cost_usd": 0.6}}, [("day", "short", "step-1", "cost_usd")]),
    ],
)
def test_a_changed_limit_stops_exactly_the_runs_above_it(terms, expected):
    runs = [run("long", 2, 2, 2), run("short", 1, 1, at=NOW + timedelta(hours=1))]
    assert stopped(runs, **terms) == expected


def test_runs_of_a_tenant_that_may_start_none_are_refused():
    found = LimitsBacktest(lambda _: NONE, lambda _: None)
    found.add(run("any", 1))
    assert [(each.kind, each.run_id) for each in found.stopped] == [("refused", "any")]


def test_a_limit_that_the_task_set_itself_is_kept_unless_it_asks_for_too_much():
    own = Budget(model_calls=5)
    assert stopped([run("own", 5, budget=own)], defaults={"model_calls": 1}) == []
    assert stopped([run("own", 5, budget=own)], most={"model_calls": 4}) == [("refused", "own", "", "model_calls")]


def test_days_and_tenants_are_counted_apart():
    days = [run("may-1", 4), run("may-2", 4, at=NOW + timedelta(days=1))]
    assert stopped([*days, run("elsewhere", 4, tenant="other")], day={"model_calls": 4}) == []
