"""Counters of costs on a real Redis: exact, written with the run, bounded, and counted again by a rebuild."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.budget import Usage
from schemas.log import LoggedEvent, RunChanged
from schemas.step import HandoffFailed
from shared.blackboard import Restorer, RunStore, costs_of, days_of_costs, keys, tenants_with_costs
from shared.blackboard.costs import KEPT_DAYS, MOST_FIELDS, counters_in, day_of
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import Restoring
from shared.service.rebuild.spill import Row
from tests.support.gateway_fixtures import apply, begin, error_of, serving

TODAY = datetime.now(UTC).date()
SPENT = Usage(prompt_tokens=1_000, completion_tokens=200, cost_usd=0.0123, model_calls=2, tool_calls=1)


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


async def spend(store, run_id, usage=SPENT, models=("gpt-x",), tenant="default", **task):
    """A run that has spent this on one attempt."""
    run = await begin(store, run_id, tenant=tenant, **task)
    [step] = run.steps.values()
    about = {"run_id": run_id, "tenant": tenant, "agent": "data", "handoff_id": step.handoff_id}
    error = {"code": "busy", "message": "later", "retryable": True}
    failed = HandoffFailed(id=f"{run_id}/failed", usage=usage, models=list(models), error=error, **about)
    return await apply(store, run_id, failed, tenant)


async def today(redis, tenant="default"):
    [(_, sums)] = await days_of_costs(redis, tenant, TODAY, 1)
    return sums


async def test_spending_is_counted_by_agent_model_and_type(store, redis):
    await spend(store, "run-a", type="report")
    await spend(store, "run-b", models=("gpt-x", "other"))
    sums = await today(redis)
    assert sums["all", ""].cost_usd == pytest.approx(0.0246)
    assert sums["all", ""][1:] == (2_400, 4, 2)
    assert sums["agent", "data"] == sums["all", ""]
    assert {name for kind, name in sums if kind == "model"} == {"gpt-x", "gpt-x + other"}
    assert {name for kind, name in sums if kind == "type"} == {"report", "(none)"}
    assert sums["type", "report"].tokens == 1_200
    for dimension in ("agent", "model", "type"):
        of_all = sum(spent.tokens for (kind, _), spent in sums.items() if kind == dimension)
        assert of_all == sums["all", ""].tokens, "every dimension adds up to the whole"


async def test_the_counters_equal_the_usage_of_the_runs(store, redis):
    runs = [await spend(store, f"run-{number}", SPENT + Usage(prompt_tokens=number)) for number in range(20)]
    costs = await costs_of(redis, {("default", run.id) for run in runs} | {("default", "unknown")})
    assert sum(costs.values()) == pytest.approx((await today(redis))["all", ""].cost_usd)
    assert len(costs) == 20


async def test_tenants_do_not_meet_and_are_listed_by_their_last_day(store, redis):
    await spend(store, "run-a", tenant="acme")
    await spend(store, "run-b", tenant="shop")
    assert (await today(redis, "acme"))["all", ""].tokens == 1_200
    assert await today(redis, "other") == {}
    assert sorted(await tenants_with_costs(redis, TODAY, 10)) == ["acme", "shop"]
    assert await tenants_with_costs(redis, TODAY + timedelta(days=1), 10) == []


async def test_the_counters_of_a_day_expire_and_are_bounded(store, redis):
    for number in range(3):
        await spend(store, f"run-{number}", models=(f"model-{number}",))
    key = keys.costs("default", day_of(datetime.now(UTC)))
    assert 0 < await redis.pttl(key) <= KEPT_DAYS * 86_400_000
    await redis.hset(key, mapping={f"tokens:model:m{number}": 1 for number in range(MOST_FIELDS)})
    await spend(store, "run-more", models=("one-more",))
    sums = await today(redis)
    assert ("model", "one-more") not in sums
    assert sums["model", "(other)"].tokens == 1_200
    assert sums["all", ""].tokens == 4_800


async def test_a_change_that_is_not_committed_counts_nothing(store, redis):
    run = await spend(store, "run-a")
    before = await today(redis)
    [step] = run.steps.values()
    about = {"run_id": "run-a", "tenant": "default", "agent": "data", "handoff_id": step.handoff_id or "gone"}
    again = HandoffFailed(id="run-a/failed", usage=SPENT, error={"code": "busy", "message": "x"}, **about)
    await apply(store, "run-a", again)
    after = await today(redis)
    run, *_ = await store.load("default", "run-a")
    assert after["all", ""].tokens == run.usage.prompt_tokens + run.usage.completion_tokens
    assert before["all", ""].tokens <= after["all", ""].tokens


def _rows(run_id, at, usages):
    started = {"task": {"objective": "x", "type": "report"}, "task_id": "t"}
    events = [("waggle.run-started.v1", started)]
    events += [("waggle.spent.v1", {"usage": each.model_dump(), "models": ["gpt-x"], "by": "data"}) for each in usages]
    for number, (kind, data) in enumerate(events, 1):
        about = {"run_id": run_id, "tenant": "shop", "epoch": 1, "number": number, "cause": f"c{number}", "at": at}
        change = RunChanged(events=[LoggedEvent(type=kind, data=data)], **about)
        yield Row(run_id, int(at.timestamp() * 1000), 0, change.model_dump_json().encode())


async def test_a_rebuild_counts_what_the_log_says_and_lowers_nothing(store, redis, settings):
    now = datetime.now(UTC)
    yesterday = now - timedelta(days=1)
    restorer = Restorer(redis, "me", 60)
    restoring = Restoring(restorer, {}, settings, Report())
    for rows in (list(_rows("run-a", now, [SPENT, SPENT])), list(_rows("run-b", yesterday, [SPENT]))):
        restoring._count_costs([*rows, rows[-1]])
    restoring._count_costs(list(_rows("run-old", now - timedelta(days=KEPT_DAYS + 1), [SPENT])))
    await redis.hset(keys.costs("shop", day_of(yesterday)), "tokens:all:", 5_000)
    assert await restorer.begin()
    await restorer.write_costs(restoring.costs)
    await restorer.write_costs(restoring.costs)
    (_, before), (_, sums) = await days_of_costs(redis, "shop", TODAY, 2)
    assert sums["all", ""].tokens == 2_400, "written twice, counted once; the repeated record too"
    assert sums["type", "report"].cost_usd == pytest.approx(0.0246)
    assert before["all", ""].tokens == 5_000, "what Redis counted beyond the log is kept"
    assert before["agent", "data"].tokens == 1_200


async def test_beyond_the_bound_on_names_a_rebuild_gives_the_figures_of_live_counting(
    store, redis, sentinel, settings, monkeypatch
):
    for module in ("costs.MOST_FIELDS", "runs.COSTS_KEPT", "restore.COSTS_KEPT"):
        bound = 24 if module.endswith("FIELDS") else (KEPT_DAYS * 86_400_000, 24)
        monkeypatch.setattr(f"shared.blackboard.{module}", bound)
    # Ids in the reverse order of time: a rebuild reads runs by id, live counting saw them by time.
    for number in range(12):
        usage = SPENT + Usage(prompt_tokens=number)
        await spend(store, f"run-{99 - number}", usage, models=(f"model-{number}",), type=f"type-{number % 5}")
    [key] = await redis.keys(keys.costs("default", "*"))
    live = await redis.hgetall(key)
    assert int(live["tokens:model:(other)"]) > 2_400, "several names beyond the bound"
    rows = [row async for row in _logged(redis)]

    async def rebuilt():
        restoring = Restoring(Restorer(redis, "me", 60), {}, settings, Report())
        for run_id in sorted({row.run for row in rows}):
            restoring._count_costs([row for row in rows if row.run == run_id])
        assert await restoring.restorer.begin()
        await restoring.restorer.write_costs(restoring.costs)
        await restoring.restorer.end()
        return await redis.hgetall(key)

    assert await rebuilt() == live, "over what Redis has"
    await redis.delete(key)
    assert await rebuilt() == live, "from nothing"
    await redis.hset(key, mapping={"tokens:model:(other)": 1, "tokens:type:type-0": 1})
    assert await rebuilt() == live, "over an older state"


async def _logged(redis):
    """The log of the runs on the blackboard, one record for each of their changes."""
    for state in await redis.keys(keys.run("default", "*", "state")):
        run_id = state.split(":")[-2]
        changes: dict[str, list] = {}
        for id, fields in await redis.xrange(keys.run("default", run_id, "events")):
            changes.setdefault(id.partition("-")[0], []).append(json.loads(fields["event"]))
        for number, events in changes.items():
            about = {"run_id": run_id, "tenant": "default", "epoch": 1, "number": int(number), "cause": f"c{number}"}
            at = datetime.fromisoformat(events[0]["data"]["at"])
            logged = [LoggedEvent(type=each["type"], data=each["data"]) for each in events]
            change = RunChanged(events=logged, at=at, **about)
            yield Row(run_id, int(at.timestamp() * 1000), 0, change.model_dump_json().encode())


def test_events_that_spend_nothing_are_not_decoded():
    assert not counters_in(['{"type":"waggle.moved.v1","data":{"broken'], None)
    event = json.dumps({"type": "waggle.spent.v1", "data": {"usage": {}, "models": [], "by": "data"}})
    assert not counters_in([event.replace(": ", ":")], None)


async def test_the_gateway_shows_the_costs_of_a_tenant_and_of_all(store, redis, settings, topics):
    await spend(store, "run-a", tenant="shop", type="report")
    await spend(store, "run-b", SPENT + SPENT, tenant="acme")
    async with serving(settings) as gateway:
        report = (await gateway.get("/v1/costs", params={"tenant": "shop", "days": 7})).json()
        sums = (await gateway.get("/v1/costs/tenants")).json()
        error_of(await gateway.get("/v1/costs", params={"days": 31}), 422)
    assert (report["tenant"], report["total"]["tokens"], len(report["days"])) == ("shop", 1_200, 7)
    assert report["days"][-1]["cost_usd"] == pytest.approx(0.0123)
    assert [each["name"] for each in report["agents"] + report["models"] + report["types"]] == [
        "data",
        "gpt-x",
        "report",
    ]
    assert [each["name"] for each in sums["tenants"]] == ["acme", "shop"]
    assert sums["complete"] is True
