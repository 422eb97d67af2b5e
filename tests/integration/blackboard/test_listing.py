"""Lists of runs from the index, which equals the records after any writes, rebuilds, losses and older releases."""

import asyncio
import random
import time
from datetime import UTC, datetime

import pytest

from schemas.approval import CancelRun, HumanDecided, PauseRun, ResumeRun
from schemas.error import ErrorInfo
from schemas.event import ENDS, State
from schemas.plan import AgentCard, Plan, PlannedStep
from schemas.step import HandoffFailed, HelpAsked, Output, PlanProposed, ResultReviewed, StepCompleted
from schemas.synthesis import AnswerWritten
from shared.blackboard import Restorer, RunRecord, RunStore, keys, listing
from shared.blackboard import sweep as sweeping
from shared.blackboard.entries import (
    ASKING,
    BUSY,
    LIVE,
    OVER_BUDGET,
    RETRYING,
    SETTLING,
    awaiting,
    changed_at,
    in_session,
    in_state,
    with_agent,
    with_type,
    with_word,
)
from shared.blackboard.listing import Place, RunIndex, Wanted
from shared.blackboard.questions import open_questions_of, read_inbox
from shared.blackboard.sweep import IndexSweep, sweep
from shared.runs import Run
from tests.support import gateway_fixtures
from tests.support.gateway_fixtures import apply, begin, cancel
from tests.support.message_samples import SYNTHESIS

TENANTS = ("acme", "shop")
AGENTS = {name: AgentCard(name=name, description=name) for name in ("data", "research", "code")}
WORDS = ("orders", "refunds", "Straße", "s:FAILED", "invoices")


@pytest.fixture(autouse=True)
def agents(monkeypatch):
    monkeypatch.setattr(gateway_fixtures, "AGENTS", AGENTS)


def subject(run: Run, handoff_id: str, agent: str) -> dict:
    about = {"run_id": run.id, "tenant": run.tenant, "handoff_id": handoff_id, "agent": agent}
    return about | {"id": f"{handoff_id}/answer/{random.getrandbits(60):x}"}


def works(run: Run) -> list[tuple[str, str, str]]:
    """Work in flight: its kind, agent and handoff."""
    found = [("plan", "planner", run.planning.handoff_id), ("write", "writer", run.writing.handoff_id)]
    found.append(("review", "reviewer", run.reviewing.handoff_id))
    found += [("step", record.step.agent, record.handoff_id) for record in run.steps.values()]
    return [each for each in found if each[2]]


def answers(run: Run, chance: random.Random) -> list:
    """Messages that may arrive for the run."""
    about = {"run_id": run.id, "tenant": run.tenant, "by": "ops"}
    reasoned = about | {"reason": "because"}
    found = [PauseRun(**reasoned), ResumeRun(**about)]
    if chance.random() < 0.1:
        found.append(CancelRun(**reasoned))
    for request_id in run.questions:
        decided = {"request_id": request_id, "answer": "so"}
        found += [HumanDecided(**about, **decided, decision=each) for each in ("approve", "approve", "reject")]
    for kind, agent, handoff_id in works(run):
        told = subject(run, handoff_id, agent) | {"usage": {"model_calls": chance.choice((1, 1, 40))}}
        error = ErrorInfo(code="broken", message="it broke", retryable=True)
        found.append(HandoffFailed(**told, error=error))
        match kind:
            case "plan":
                agents = chance.sample(("data", "research", "code"), 2)
                steps = [PlannedStep(id=f"s{n}", objective="do", agent=agent) for n, agent in enumerate(agents)]
                found += [PlanProposed(**told, plan=Plan(steps=steps))] * 3
            case "write":
                found.append(AnswerWritten(**told, synthesis=SYNTHESIS))
            case "review":
                found.append(ResultReviewed(**told, accepted=chance.random() < 0.7, reasons=["because"]))
            case "step":
                found.append(StepCompleted(**told, output=Output(answer="done")))
                found.append(HelpAsked(**told, question="may I?"))
    return found


async def play(store: RunStore, seed: int, changes: int) -> None:
    """Make runs of two tenants and change them at random."""
    chance = random.Random(seed)
    known: list[tuple[str, str]] = []
    for number in range(changes):
        if not known or chance.random() < 0.15:
            tenant, run_id = chance.choice(TENANTS), f"run-{number}"
            kind = chance.choice(({"shape": "auto", "agent": None}, {"agent": "data"}))
            task = kind | {"type": chance.choice((None, "report", "mail")), "tenant": tenant}
            task |= {"objective": " ".join(chance.sample(WORDS, 2)), "budget": {"model_calls": 60}}
            task |= {"session": chance.choice((None, "trip", "f:live"))}
            await begin(store, run_id, **task)
            known.append((tenant, run_id))
        tenant, run_id = chance.choice(known)
        run = (await store.load(tenant, run_id)).run
        await apply(store, run_id, chance.choice(answers(run, chance)), tenant)


async def runs_of(store: RunStore, redis, tenant: str) -> list[Run]:
    """All runs of a tenant from their records, newest first."""
    ids = [key.split(":")[3] async for key in redis.scan_iter(f"waggle:{tenant}:run:*:state")]
    found = [(await store.load(tenant, run_id)).run for run_id in ids]
    return sorted(found, key=lambda run: (run.started, run.id), reverse=True)


def repeats(run: Run) -> bool:
    at_work = run.state in {State.PLANNING, State.EXECUTING, State.REVIEWING}
    pieces = [run.planning, run.reviewing, *run.steps.values()]
    return at_work and any(each.handoff_id and each.error and each.attempts_since_resume > 1 for each in pieces)


def is_asking(run: Run) -> bool:
    return bool(run.questions) and run.state not in ENDS


def oldest_question(run: Run) -> datetime:
    undecided = [each.asked.at for each in run.questions.values() if each.effective is None]
    return min(undecided or [each.asked.at for each in run.questions.values()])


def is_undecided(run: Run) -> bool:
    return is_asking(run) and any(each.effective is None for each in run.questions.values())


def over(run: Run) -> bool:
    ended = run.error is not None and run.error.code == "budget_exhausted"
    return ended or run.usage.model_calls > 60 or run.budget_reached >= 0.8


def truths() -> dict[Wanted, object]:
    """Conditions of lists, each with what it means for a run."""
    found = {Wanted(): lambda run: True}
    found |= {Wanted(tags=(in_state(state),)): lambda run, state=state: run.state is state for state in State}
    found |= {
        Wanted(tags=(with_agent(name),)): lambda run, name=name: (
            name == run.task.agent or name in {record.step.agent for record in run.steps.values()}
        )
        for name in ("data", "research", "code", "nobody")
    }
    found |= {
        Wanted(tags=(awaiting(name),)): lambda run, name=name: (
            run.state not in ENDS and name in {agent for _, agent, _ in works(run)}
        )
        for name in ("planner", "writer", "reviewer", "data")
    }
    return found | {
        Wanted(tags=(with_type("report"),)): lambda run: run.task.type == "report",
        Wanted(tags=(in_session("trip"),)): lambda run: run.task.session == "trip",
        Wanted(tags=(in_session("f:live"), LIVE)): lambda run: run.task.session == "f:live" and run.state not in ENDS,
        Wanted(tags=(SETTLING,)): lambda run: run.settling,
        Wanted(tags=(LIVE,)): lambda run: run.state not in ENDS,
        Wanted(tags=(BUSY,)): lambda run: run.state not in ENDS and bool(works(run)),
        Wanted(tags=(RETRYING,)): repeats,
        Wanted(tags=(ASKING,)): is_undecided,
        Wanted(tags=(OVER_BUDGET,)): over,
        Wanted(tags=(with_word("strasse"),)): lambda run: "Straße" in run.task.objective,
        Wanted(tags=(with_word("s"), with_word("orders"))): lambda run: (
            {"s:FAILED", "orders"} == {*run.task.objective.split()}
        ),
        Wanted(any_tag=(in_state(State.PAUSED), RETRYING), ids=("run-0",)): lambda run: (
            run.id == "run-0" or run.state is State.PAUSED or repeats(run)
        ),
        Wanted(tags=(LIVE, with_agent("data"), with_word("refunds"))): lambda run: (
            run.state not in ENDS
            and "data" in {run.task.agent, *(record.step.agent for record in run.steps.values())}
            and "refunds" in run.task.objective
        ),
        Wanted(asked_before=time.time() + 60, tags=(ASKING,)): is_undecided,
        Wanted(asked_before=0.0, tags=(ASKING,)): lambda run: False,
    }


async def listed(index: RunIndex, tenant: str, wanted: Wanted, limit: int = 3) -> list[str]:
    """Ids on all pages."""
    found, place = list[str](), Place()
    while place is not None:
        page = await index.find(tenant, wanted, limit, place)
        found += [row.run_id for row in page.runs]
        place = page.after
    return found


def urgencies(run: Run) -> list[tuple]:
    """The questions of a run as an inbox orders them; agents ask those of these runs, without a risk."""
    return [(3, each.asked.at, run.id, each.asked.request_id) for each in run.questions.values()]


async def inbox(redis, tenant: str, limit: int = 2) -> list[tuple]:
    """The questions on all pages by their places, which are also those by their numbers."""
    by_place, by_number, after = [], [], None
    while True:
        page = await read_inbox(redis, tenant, limit, after=after)
        other = await read_inbox(redis, tenant, limit, len(by_place))
        assert (page.slice, page.last) == (other.slice, other.last)
        assert page.slice.before == len(by_place)
        by_place += page.questions
        by_number += other.questions
        if page.last is None:
            break
        after = page.last
    assert by_number == by_place
    assert len(by_place) == page.slice.total
    return [(3, each.question.asked.at, each.run.run_id, each.question.asked.request_id) for each in by_place]


async def entries(redis, tenant: str) -> dict[str, object]:
    """All that Redis holds of an index, but the moments of expiry."""
    found = {}
    async for key in redis.scan_iter(f"waggle:{tenant}:runs*"):
        kind = await redis.type(key)
        if kind == "hash":
            found[key] = await redis.hgetall(key)
        elif kind == "zset":
            scores = await redis.zrange(key, 0, -1, withscores=True)
            found[key] = {each for each, _ in scores} if key.endswith(":expiry") else scores
            assert await redis.pttl(key) == -1, f"{key} expires"
    return found


async def drop(redis, tenant: str) -> None:
    """Leave what an earlier release has: runs in their order of start, and no more."""
    async for key in redis.scan_iter(f"waggle:{tenant}:runs:*"):
        await redis.delete(key)


@pytest.mark.parametrize("seed", range(4))
async def test_after_random_writes_every_list_says_what_the_records_say(store, sentinel, redis, seed, monkeypatch):
    monkeypatch.setattr(listing, "SLICE", 4)
    await play(store, seed, 120)
    index, seen = RunIndex(sentinel), set()
    for tenant in TENANTS:
        runs = await runs_of(store, redis, tenant)
        for wanted, holds in truths().items():
            expected = [run.id for run in runs if holds(run)]
            assert await listed(index, tenant, wanted) == expected, wanted
            seen |= {wanted} if expected else set()
        changed = sorted(runs, key=lambda run: (changed_at(run), run.id), reverse=True)
        assert await listed(index, tenant, Wanted(by_change=True)) == [run.id for run in changed]
        live = [run.id for run in changed if run.state not in ENDS]
        assert await listed(index, tenant, Wanted(any_tag=(LIVE,), by_change=True)) == live
        waiting = sorted(filter(is_asking, runs), key=oldest_question)
        found = await open_questions_of(redis, tenant, 100)
        assert [each.questions for each in found.runs] == [[*run.questions.values()] for run in waiting]
        assert await inbox(redis, tenant) == sorted(each for run in waiting for each in urgencies(run))
    assert len(seen) > 12, "too few conditions met a run for this test to say much"


async def test_a_sweep_makes_the_same_index_as_the_writes_did(store, sentinel, redis):
    await play(store, 7, 100)
    for tenant in TENANTS:
        before = await entries(redis, tenant)
        await drop(redis, tenant)
        assert await sweep(sentinel, tenant) == len(await redis.zrange(keys.runs(tenant), 0, -1)) > 0
        assert await entries(redis, tenant) == before
        assert await sweep(sentinel, tenant) == 0


async def test_a_rebuild_makes_the_same_index_as_the_writes_did(store, sentinel, redis):
    await play(store, 8, 80)
    before = {tenant: await entries(redis, tenant) for tenant in TENANTS}
    records = []
    for tenant in TENANTS:
        for run in await runs_of(store, redis, tenant):
            version = (await store.load(tenant, run.id)).version
            records.append(RunRecord(run, version, ["m0"], [], {}))
    await redis.flushdb()
    restorer = Restorer(redis, "test", 60)
    assert await restorer.begin()
    await restorer.write_runs(records)
    assert {tenant: await entries(redis, tenant) for tenant in TENANTS} == before
    await restorer.end()


async def test_pages_are_stable_while_runs_start_end_and_leave_the_list(store, sentinel, redis):
    index, live = RunIndex(sentinel), Wanted(tags=(LIVE,))
    for number in range(9):
        await begin(store, f"run-{number}")
    first = await index.find("default", live, 3)
    assert [row.run_id for row in first.runs] == ["run-8", "run-7", "run-6"]
    await begin(store, "run-new")
    for number in (6, 7, 4):
        await cancel(store, "default", f"run-{number}")
    second = await index.find("default", live, 3, first.after)
    assert [row.run_id for row in second.runs] == ["run-5", "run-3", "run-2"]
    third = await index.find("default", live, 3, second.after)
    assert ([row.run_id for row in third.runs], third.after) == (["run-1", "run-0"], None)


async def test_runs_of_one_moment_are_paged_without_loss_or_repetition(store, sentinel, redis, monkeypatch):
    monkeypatch.setattr(listing, "SLICE", 2)
    for number in range(9):
        await begin(store, f"run-{number}")
    moment = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    async for key in redis.scan_iter("waggle:default:runs*"):
        if await redis.type(key) == "zset":
            await redis.zadd(key, {f"run-{number}": moment for number in range(1, 8)}, xx=True)
    index = RunIndex(sentinel)
    for limit in (1, 2, 5):
        found = await listed(index, "default", Wanted(), limit)
        assert found == ["run-8", "run-0", *(f"run-{number}" for number in range(7, 0, -1))]
    times = Wanted(since=moment, until=moment + 1)
    assert len(await listed(index, "default", times)) == 7
    assert await listed(index, "default", Wanted(until=moment)) == []


async def test_a_page_says_so_if_it_ends_before_the_list_does(store, sentinel, monkeypatch):
    monkeypatch.setattr(listing, "SLICE", 2)
    monkeypatch.setattr(listing, "MOST_EXAMINED", 4)
    await begin(store, "run-0", "rare")
    for number in range(1, 9):
        await begin(store, f"run-{number}")
    index, wanted = RunIndex(sentinel), Wanted(any_tag=(with_word("rare"),))
    page = await index.find("default", wanted, 5)
    assert (page.runs, page.after.run_id, page.offset) == ([], "run-5", 4)
    assert await listed(index, "default", wanted) == ["run-0"]


async def test_expired_runs_leave_the_index(store, sentinel, redis):
    for number in range(6):
        await begin(store, f"run-{number}")
    for number in (1, 2):
        await cancel(store, "default", f"run-{number}")
    for run_id in ("run-1", "run-2", "run-3"):
        await redis.delete(keys.run("default", run_id))
    await redis.zadd(keys.runs_expiring("default"), {"run-1": 1, "run-4": 1})
    index = RunIndex(sentinel)
    await index.forget_expired("default")
    left = await redis.hkeys(keys.runs_marked("default"))
    assert "run-1" not in left
    assert {"run-2", "run-4"} <= {*left}
    assert await redis.zrange(keys.runs_expiring("default"), 0, -1) == ["run-2"]
    assert await listed(index, "default", Wanted()) == ["run-5", "run-4", "run-0"]
    assert await listed(index, "default", Wanted(tags=(in_state(State.CANCELLED),))) == []
    assert {*(await redis.hkeys(keys.runs_shown("default")))} == {"run-0", "run-4", "run-5"}
    await redis.delete(*[keys.run("default", f"run-{number}") for number in (0, 4, 5)])
    assert await sweep(sentinel, "default") == 0
    assert [key async for key in redis.scan_iter("waggle:default:runs*")] == [keys.runs_indexed("default")]


async def test_a_run_that_ends_leaves_the_index_when_its_record_expires(sentinel, redis):
    store = RunStore(sentinel, ttl=0.2)
    await begin(store, "run-a")
    await cancel(store, "default", "run-a")
    await begin(store, "run-b")
    assert await listed(RunIndex(sentinel), "default", Wanted()) == ["run-b", "run-a"]
    await asyncio.sleep(0.3)
    await apply(store, "run-b", PauseRun(run_id="run-b", tenant="default", by="ops", reason="lunch"))
    assert await redis.hkeys(keys.runs_marked("default")) == ["run-b"]


async def test_runs_that_an_earlier_release_writes_meanwhile_are_listed_as_they_stand(store, sentinel, redis):
    """Such a release writes the record and the order of start, not the other entries."""
    for number in range(4):
        await begin(store, f"run-{number}")
    held = await entries(redis, "default")
    for number in (1, 3):
        await cancel(store, "default", f"run-{number}")
    for key in [each async for each in redis.scan_iter("waggle:default:runs:*")]:
        await redis.delete(key)
    for key, value in held.items():
        if key.endswith((":marks", ":rows")):
            await redis.hset(key, mapping=value)
        else:
            await redis.zadd(key, dict(value))
    index = RunIndex(sentinel)
    shown = (await index.find("default", Wanted(), 10)).runs
    states = [State.CANCELLED, State.EXECUTING, State.CANCELLED, State.EXECUTING]
    assert [row.state for row in shown] == states
    assert await listed(index, "default", Wanted(tags=(in_state(State.CANCELLED),))) == ["run-3", "run-1"]


async def test_entries_of_another_format_are_replaced_before_they_are_shown(store, sentinel, redis):
    await begin(store, "run-0")
    marks = await redis.hget(keys.runs_marked("default"), "run-0")
    await redis.hset(keys.runs_marked("default"), "run-0", marks.replace(marks.split()[0], "other", 1))
    await redis.hset(keys.runs_shown("default"), "run-0", '{"of": "another release"}')
    [row] = (await RunIndex(sentinel).find("default", Wanted(), 10)).runs
    assert (row.run_id, row.objective) == ("run-0", "count")
    assert await redis.hget(keys.runs_marked("default"), "run-0") == marks


async def test_a_sweep_is_made_when_runs_are_first_listed_and_by_one_process(store, sentinel, redis, monkeypatch):
    for number in range(3):
        await begin(store, f"run-{number}")
    await drop(redis, "default")
    swept = []

    async def counted(*about):
        swept.append(about)
        return await sweep(*about)

    monkeypatch.setattr(sweeping, "sweep", counted)
    ours, theirs = IndexSweep(sentinel), IndexSweep(sentinel)
    tasks = [asyncio.create_task(each.run()) for each in (ours, theirs)]
    assert await ours.ask("default", patience=5)
    assert await theirs.ask("default", patience=5)
    assert await ours.ask("default", patience=5)
    assert len(swept) == 1
    assert await listed(RunIndex(sentinel), "default", Wanted(tags=(LIVE,))) == ["run-2", "run-1", "run-0"]
    for task in tasks:
        task.cancel()


async def test_no_sweep_writes_to_a_lost_blackboard(store, sentinel, redis):
    await begin(store, "run-0")
    await drop(redis, "default")
    await redis.set(keys.SENTINEL, "9:another")
    await sweep(sentinel, "default")
    assert await redis.hkeys(keys.runs_marked("default")) == []
