"""Lists of 100,000 runs and of 1,000 open questions, asked of a gateway in a process of its own."""

import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx

from infra.probe import free_port
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.plan import Plan, PlannedStep
from schemas.question_events import HelpRequested
from schemas.task import Task
from schemas.verdict import Proposal
from shared.blackboard import RunStore, Sentinel, Write, keys
from shared.runs import Run
from shared.runs.open_question import OpenQuestion
from shared.runs.run import StepRecord
from tests.bench.stage import Stage
from tests.bench.table import Row

TENANT = "lists"
TARGET = 300.0
"""Milliseconds for one page, of which 95 % must be quicker."""

AGENTS = ("research", "data", "code", "communication")
TYPES = ("report", "refund", "mail", None)
WORDS = [
    "count",
    "the",
    "orders",
    "of",
    "last",
    "week",
    "compare",
    "refunds",
    "by",
    "region",
    "write",
    "a",
    "summary",
    "for",
    "finance",
    "and",
    "mail",
    "it",
]
AT_ONCE = 200

FILTERS = {
    "no filter": "",
    "state (1 in 500)": "state=PAUSED",
    "agent and type": "agent=communication&type=refund",
    "state and agent and time": "state=FAILED&agent=code&since=2026-01-01T06:00:00Z",
    "retrying": "retrying=true",
    "waiting over an hour": "waiting=true",
    "over budget": "over_budget=true",
    "stopped, one agent": "stopped=true",
    "text that one run has": "text=needle",
    "text that no run has, all states": "text=haystack",
    "state and text": "state=COMPLETE&text=needle",
}
"""Filters by name, as a query."""


async def lists(stage: Stage, runs: int, questions: int, asked: int) -> list[Row]:
    """Milliseconds of pages and of the inbox, and bytes of the index."""
    await stage.fresh()
    sentinel = Sentinel(stage.redis)
    await sentinel.renew(1)
    store = RunStore(sentinel, 86_400)
    seconds = await _write(store, sentinel.generation, list(_runs(runs, questions)))
    rows = [Row("writes of runs with their entries", runs / seconds, "per s", note=f"{runs:,} runs")]
    rows.append(await _bytes(sentinel, runs))
    port = free_port()
    await stage.serve("services.gateway", "gateway", WAGGLE_HTTP_PORT=str(port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        (await client.put("/v1/stops/agent:research", json={"by": "bench", "reason": "measured"})).raise_for_status()
        for name, query in FILTERS.items():
            path = f"/v1/runs?tenant={TENANT}&{query}"
            rows.append(await _timed(client, f"page of {runs:,} runs, {name}", path, asked))
        path = f"/v1/approvals?tenant={TENANT}&limit={min(questions, 1_000)}"
        rows.append(await _timed(client, f"{questions:,} open questions on one page", path, asked))
        path = f"/v1/approvals?tenant={TENANT}&order=risk&limit=25&offset={questions // 2}"
        rows.append(await _timed(client, f"25 of {questions:,} open questions by risk", path, asked))
    rows += await _inbox(stage, port, questions, asked)
    await stage.clear()
    await sentinel.close()
    return rows


async def _inbox(stage: Stage, gateway: int, questions: int, asked: int) -> list[Row]:
    """Milliseconds of pages of the console that is in front of the gateway."""
    port = free_port()
    about = {"WAGGLE_GATEWAY": f"http://127.0.0.1:{gateway}", "WAGGLE_HTTP_PORT": str(port)}
    await stage.serve("services.console", "console", **about)
    place = f"1 {0:017d} run-0 run-0/help/1"
    pages = {"first page": "inbox?", "a page in the middle": f"inbox?offset={questions // 2}&"}
    pages |= {"one by one": f"inbox/next?past={quote(place)}&"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        return [
            await _timed(client, f"console, {questions:,} open questions, {name}", f"/{path}tenant={TENANT}", asked)
            for name, path in pages.items()
        ]


async def _timed(client: httpx.AsyncClient, figure: str, path: str, asked: int) -> Row:
    times = []
    for _ in range(asked):
        began = time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    p95 = statistics.quantiles(times, n=20)[-1]
    note = f"p50 {statistics.median(times):.0f} ms, {_shown(answer)} shown"
    return Row(f"{figure}: p95", p95, "ms", target=f"< {TARGET:.0f}", reached=p95 < TARGET, note=note)


def _shown(answer: httpx.Response) -> int:
    """Return the number of runs or questions in an answer, or on a page."""
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.text.count('class="card question"')
    found = answer.json()
    return len(found.get("runs", found.get("approvals", ())))


async def _bytes(sentinel: Sentinel, runs: int) -> Row:
    """Bytes of the index for one run, next to those of its record."""
    client, total = sentinel.own, 0
    async for key in client.scan_iter(f"{keys.runs(TENANT)}*", count=1_000):
        total += await client.memory_usage(key, samples=100)
    record = 0
    for part in ("state", "processed", "events"):
        record += await client.memory_usage(keys.run(TENANT, "run-0000007", part), samples=0) or 0
    return Row("bytes of the index for one run", total / runs, "bytes", record, total / runs / record)


async def _write(store: RunStore, generation: str, runs: list[Run]) -> float:
    """Write all runs as the orchestrator does, and return the seconds it took."""
    began = time.perf_counter()
    for start in range(0, len(runs), AT_ONCE):
        await asyncio.gather(*(store.commit(_first_write(run, generation)) for run in runs[start : start + AT_ONCE]))
    return time.perf_counter() - began


def _first_write(run: Run, generation: str) -> Write:
    about = {"author": "orchestrator", "at": run.started.isoformat(), "why": "bench"}
    event = '{"type": "waggle.run-started.v1", "data": {}}'
    return Write("m1", None, run, 0, generation, events=[event], outbox={}, **about)


def _runs(number: int, questions: int) -> Iterator[Run]:
    """Yield runs a second apart: most are complete, few are retried, paused, stopped or over their budget."""
    chance = random.Random(1)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    every = max(1, number // questions)
    for place in range(number):
        run = _run(place, first + timedelta(seconds=place), chance)
        asks = place % every == 0 and place // every < questions
        yield _asking(run) if asks else run


def _run(place: int, started: datetime, chance: random.Random) -> Run:
    words = [*chance.sample(WORDS, 12), *(["needle"] if place == 17 else [])]
    task = Task(objective=" ".join(words), type=chance.choice(TYPES), tenant=TENANT)
    rare = chance.random()
    state = State.PAUSED if rare < 0.002 else State.FAILED if rare < 0.05 else State.COMPLETE
    steps = [
        PlannedStep(id=f"s{n}", objective=words[n], agent=agent) for n, agent in enumerate(chance.sample(AGENTS, 2))
    ]
    failed = ErrorInfo(code=chance.choice(("budget_exhausted", "broken")), message="it broke")
    run = Run(
        id=f"run-{place:07}",
        task_id=f"task-{place}",
        tenant=TENANT,
        task=task,
        state=state,
        started=started,
        deadline=started + timedelta(hours=1),
        plan=Plan(steps=steps),
        steps={step.id: StepRecord(step=step, status="done") for step in steps},
        usage=Usage(model_calls=5, prompt_tokens=4_000, completion_tokens=700, cost_usd=0.01),
        error=failed if state is State.FAILED else None,
    )
    return _repeated(run, failed) if 0.05 < rare < 0.052 else run


def _repeated(run: Run, failed: ErrorInfo) -> Run:
    change = {"status": "running", "handoff_id": f"{run.id}/s0/0.0.2", "attempts_since_resume": 2, "error": failed}
    again = {"s0": run.steps["s0"].model_copy(update=change)}
    return run.model_copy(update={"state": State.EXECUTING, "steps": run.steps | again})


def _asking(run: Run) -> Run:
    proposal = Proposal(
        call="s0/call-1",
        digest="0" * 64,
        tool="send_mail",
        arguments='{"to": "finance@example.com", "subject": "Refunds", "body": "The refunds by region."}',
        agent="communication",
        doing="Mail the summary to finance",
        effect="irreversible",
        risk="high",
        rule="mail",
        reason="mail leaves the house",
        usage=Usage(model_calls=3),
        confidence=0.8,
        if_approved="The mail is sent.",
        if_rejected="The run is planned again.",
        expires=86_400,
        usable=3_600,
    )
    asked = HelpRequested(
        run_id=run.id,
        tenant=TENANT,
        at=run.started,
        by="orchestrator",
        request_id=f"{run.id}/help/1",
        about="step",
        step_id="s0",
        question="May I send this mail?",
        options=[],
        proposal=proposal,
    )
    open_now = {asked.request_id: OpenQuestion(asked=asked)}
    return run.model_copy(update={"state": State.WAITING_HUMAN, "questions": open_now, "error": None})
