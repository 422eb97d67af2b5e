"""A console in front of a gateway, a visitor of its pages without a browser, and answers with hostile text in them."""

import html
import json
import re
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx

from schemas.acting import ActingCall
from schemas.api.checks import Check, RunCounts
from schemas.api.costs import CostLine, CostReport
from schemas.api.dead_letters import DeadLetterSummary, SearchResult
from schemas.api.run_batch import RunBatchProgress, RunBatchSelection
from schemas.api.runs import (
    LONGEST_OBSTACLE,
    AbsentAgent,
    ApprovalPage,
    ApprovalView,
    ParkedWork,
    QuestionView,
    RunPage,
    RunSummary,
    RunView,
)
from schemas.api.sessions import SessionPage, SessionSummary, SessionView
from schemas.api.topics import GroupLag, TopicLag
from schemas.api.trace import Action, Attempt, RunTrace, Work
from schemas.budget import Budget, Usage
from schemas.conflict import Conflict, Position
from schemas.conversation import ConversationFact, ConversationTurn, SessionEnd
from schemas.error import ErrorInfo
from schemas.event import CheckResult, Evaluation, State
from schemas.plan import Effect, Plan, PlannedStep, Risk
from schemas.question import Background, Delegation, Kind, Offer, Reply, Stage, Terms, Vote
from schemas.question_events import HelpRequested
from schemas.step import HelpAsked
from schemas.stop import WorkStopped
from schemas.task import Artefact, Result, StepSummary
from schemas.verdict import PlannedEffect, Proposal
from services.console.service import application, pages_of
from services.console.sessions import Sessions
from services.console.settings import ConsoleSettings
from services.console.visitor import Connections
from shared.access.principals import digest, new_key
from shared.blackboard.places import place_of
from tests.support.console_boards import board_view, claims_view
from tests.support.console_letters import NOW, summary_fields
from tests.support.console_memories import answers as memory_answers
from tests.support.console_memories import changed
from tests.support.gateway_fixtures import apply, begin, served
from tests.support.guard_attacks import ORDERS, tagged
from tests.support.run_parts import FILES, PARTS, stored_file

ELSEWHERE = "evil.example"
VERDICTS = ("ok", "warn", "fail")

HOSTILE = (
    f"</td></pre></textarea></title><script src='https://{ELSEWHERE}/a.js'>alert(1)</script>"
    f"<img src='https://{ELSEWHERE}/i' onerror=alert(1)><style>@import '//{ELSEWHERE}/s.css'</style>"
    f"<meta http-equiv=refresh content='0;url=https://{ELSEWHERE}/'><form action=https://{ELSEWHERE}/><button>x</button>"
    f'" onfocus=alert(1) autofocus x="\' javascript:alert(1) ![x](https://{ELSEWHERE}/?q=1) '
    "{{ 7919 * 7927 }} {% raw %}"
    f"\u202egnp.exe\u202c \u200b\u2066\x1b[31mred\x1b[0m\x00{tagged('hidden')} "
    + " ".join(each[1] for each in ORDERS[:8])
)
"""Markup, loads from elsewhere, template code, text that is turned around or hidden, orders to a model."""

HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\U000e0000-\U000e007f]")

RUN = "run-hostile"


class Gateway:
    """A gateway that answers with models; `refuse` makes every request fail."""

    def __init__(self, text: str = HOSTILE, keys: tuple[str, ...] = ()) -> None:
        self.text = text
        self.keys = keys
        self.asked: list[httpx.Request] = []
        self.refuse: tuple[int, ErrorInfo] | None = None
        self.waiting = True
        self.plan: list[tuple[str, tuple[str, ...]]] = []
        self.matching = 3

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.url.path == "/ready":
            return httpx.Response(200)
        if self.keys and key not in self.keys:
            return _failed(401, ErrorInfo(code="unauthenticated", message=self.text))
        if self.refuse:
            return _failed(*self.refuse)
        if (request.method, request.url.path) == ("POST", "/v1/tasks"):
            links = {"self": "/v1/runs/x", "events": "x", "result": "x"}
            return httpx.Response(202, json={"run_id": RUN, "task_id": "t", "tenant": "default", "links": links})
        if request.url.path == "/v1/runs/batch":
            return self._batch(json.loads(request.content))
        if request.method == "DELETE":
            return httpx.Response(200, json={"scope": request.url.path.rpartition("/")[2], "was": None})
        if request.url.path.startswith("/v1/memories") and request.method == "POST":
            return httpx.Response(200, content=changed(self.text, request.url.path).model_dump_json())
        if request.method != "GET":
            return httpx.Response(202, json={"run_id": RUN, "tenant": "default", "message_id": "m"})
        what = request.url.path.removeprefix("/v1/").removeprefix(f"runs/{RUN}").strip("/") or "run"
        if what == "events":
            return _failed(404, ErrorInfo(code="unknown_run", message=self.text))
        if what.startswith("files/"):
            return stored_file(what.removeprefix("files/"), self.text)
        if what in PARTS:
            return httpx.Response(200, content=PARTS[what](self.text).model_dump_json())
        return self._shown(what)

    def _shown(self, what: str) -> httpx.Response:
        answers = {
            "runs": lambda: RunPage(
                runs=[summary(self.text, state) for state in State], next_offset=7, next_cursor="7~run-7", indexing=True
            ),
            "approvals": lambda: ApprovalPage(approvals=self._approvals(), next_offset=None, total=6, before=0),
            "sessions": lambda: SessionPage(
                sessions=[SessionSummary.model_validate(dict(talk(self.text)))], next_offset=7
            ),
            "sessions/trip": lambda: talk(self.text, waiting=self.waiting),
            "run": lambda: view(self.text, waiting=self.waiting, plan=self.plan),
            "trace": lambda: trace(self.text),
            "result": lambda: result(self.text),
            "counts": lambda: RunCounts(states=dict.fromkeys(State, 2), indexing=True),
            "costs": lambda: cost_report(self.text),
            "board": lambda: board_view(self.text, filled=self.waiting),
            "claims": lambda: claims_view(self.text),
            **memory_answers(self.text, candidate=self.waiting),
            "dead-letters": lambda: SearchResult(
                letters=[DeadLetterSummary(**summary_fields(self.text))], complete=True, not_looked_at=0
            ),
        }
        if what == "topics":
            group = GroupLag(group=self.text, lag=1_200, members=0, state=self.text)
            topic = TopicLag(topic="waggle.tasks", partitions=1, messages=3, written=9, groups=[group])
            return httpx.Response(200, json=[topic.model_dump(mode="json")])
        if what == "checks":
            checks = [Check(subject=self.text, verdict=each, found=self.text, action=self.text) for each in VERDICTS]
            return httpx.Response(200, json=[each.model_dump(mode="json") for each in checks])
        if what == "stops":
            stopped = WorkStopped(scope=f"run:{RUN}", by=self.text[:200], reason=self.text, at=NOW)
            return httpx.Response(200, json=[stopped.model_dump(mode="json")])
        if what == "audit/export":
            return httpx.Response(200, text=f"{self.text}\n")
        if what == "agents":
            return httpx.Response(200, json=[])
        return httpx.Response(200, content=answers[what]().model_dump_json())

    def _batch(self, order: dict) -> httpx.Response:
        """The selection of a bulk order, and an outcome of each kind."""
        first = [summary(self.text, State.EXECUTING), summary(self.text, State.PAUSED)]
        lines = [RunBatchSelection(action=order["action"], of=self.matching, complete=self.matching < 9, first=first)]
        error = ErrorInfo(code="ended", message=self.text, suggested_action=self.text)
        outcomes = () if order.get("dry_run") else (("accepted", None), ("skipped", error), ("failed", error))
        for n, (outcome, why) in enumerate(outcomes, 1):
            lines.append(RunBatchProgress(n=n, of=self.matching, run_id=RUN, outcome=outcome, error=why))
        return httpx.Response(200, content="".join(f"{line.model_dump_json()}\n" for line in lines))

    def _approvals(self) -> list[ApprovalView]:
        risks = [None, Risk.LOW, Risk.CRITICAL, Risk.HIGH, Risk.MEDIUM, Risk.HIGH]
        asked = [question(self.text, risk, f"q-{number}", -number) for number, risk in enumerate(risks)]
        about = {"run_id": RUN, "objective": self.text, "usage": USAGE, "budget": Budget()}
        views = [ApprovalView(**about, place=place_of(RUN, each), **asked_view(each).model_dump()) for each in asked]
        return sorted(views, key=lambda view: view.place)


def cost_report(text: str) -> CostReport:
    line = CostLine(name=text, cost_usd=0.25, tokens=1200, model_calls=3, tool_calls=1)
    day = NOW.date()
    about = {"agents": [line], "models": [line], "types": [line], "days": [line]}
    return CostReport(tenant=text, since=day, until=day, total=line, **about)


USAGE = Usage(prompt_tokens=1200, completion_tokens=80, cost_usd=0.02, model_calls=2, tool_calls=1)


def _failed(status: int, error: ErrorInfo) -> httpx.Response:
    return httpx.Response(status, json={"error": error.model_dump()})


def summary(text: str, state: State) -> RunSummary:
    return RunSummary(
        run_id=RUN,
        state=state,
        objective=text,
        started=NOW - timedelta(minutes=3),
        finished=None,
        reason=text,
        failed_checks=[text],
        steps_done=1,
        steps_total=2,
        cost_usd=0.02,
        held_up=text[:LONGEST_OBSTACLE] if state is State.EXECUTING else "",
    )


def question(text: str, risk: Risk | None = Risk.HIGH, id: str = "q-1", minutes: float = 0) -> HelpRequested:
    return HelpRequested(
        run_id=RUN,
        tenant="default",
        at=NOW + timedelta(minutes=minutes),
        by=text,
        request_id=id,
        about="step",
        step_id="data",
        question=text,
        options=[text, "no"],
        proposal=proposal(text, risk) if risk else None,
        expires=NOW + timedelta(hours=1),
        kind=Kind.CALL if risk else Kind.QUESTION,
        offers=[Offer(answer=reply, effect=text[:2_000]) for reply in (CALL if risk else OWN)],
        choices=[] if risk else [text, "no"],
        terms=Terms(stages=[Stage(groups=["finance"], needed=2), Stage()], separate=True, on_expiry="reject"),
        background=None if risk else Background(agent="data", doing=text, origins=[text], tried=[text], confidence=0.3),
    )


CALL = tuple(Reply)
OWN = (Reply.RESPOND, Reply.SKIP, Reply.REJECT)
"""Answers that questions about a call, and an agent's own, take."""


def asked_view(asked: HelpRequested) -> QuestionView:
    """An open question with one vote and one delegation."""
    text = asked.question
    vote = Vote(by=text[:200], person=text[:200], reply=Reply.APPROVE, answer=text, at=NOW)
    return QuestionView(
        asked=asked, votes=[vote], delegations=[Delegation(by=text[:200], to=text[:200])], groups=["finance", text]
    )


def proposal(text: str, risk: Risk = Risk.HIGH) -> Proposal:
    return Proposal(
        call="think-1/turn-1/call-1",
        tool=text,
        source=text,
        arguments=json.dumps({"to": "anna@firm.example", "body": text}),
        digest="d" * 64,
        agent="communication",
        doing=text,
        risk=risk,
        effect=Effect.IRREVERSIBLE,
        rule=text,
        reason=text,
        if_approved=text,
        if_rejected=text,
        confidence=0.4,
        origins=[text],
        tried=[text],
        usage=USAGE,
        expires=600,
        usable=600,
    )


def view(text: str, *, waiting: bool = True, plan: Sequence[tuple[str, tuple[str, ...]]] = ()) -> RunView:
    steps = [PlannedStep(id="data", objective=text, agent="data", risk=Risk.HIGH)]
    steps += [PlannedStep(id=id, objective=text, agent="data", depends_on=list(after)) for id, after in plan]
    error = ErrorInfo(code=text, message=text, suggested_action=text)
    return RunView(
        run_id=RUN,
        task_id=text,
        tenant="default",
        state=State.WAITING_HUMAN if waiting else State.EXECUTING,
        reason=text,
        objective=text,
        started=NOW,
        deadline=NOW,
        finished=None,
        version=3,
        plan=Plan(steps=steps, rationale=text),
        steps=[
            StepSummary(
                id="data",
                agent="data",
                objective=text,
                status="failed",
                attempts=2,
                answer=text,
                error=error,
                handed_to=text,
                must_answer=text,
            )
        ],
        usage=USAGE,
        budget=Budget(),
        models=[text],
        evaluation=Evaluation(
            end=0,
            rules="0123456789ab",
            sampled="all",
            checks=[
                CheckResult(name="completed", passed=True),
                CheckResult(name="sources", passed=False, why=text[:500]),
            ],
        ),
        waiting_for=question(text) if waiting else None,
        questions=[asked_view(question(text))] if waiting else [],
        error=error,
        parked=[ParkedWork(handoff_id="h", agent=text, reason=text)],
        absent=[AbsentAgent(agent=text, seen=NOW)],
    )


def talk(text: str, *, waiting: bool = True) -> SessionView:
    """A conversation with an answered turn and one at work."""
    facts = {"started": NOW, "agents": [text[:200]], "origins": [text[:200]], "error": text[:200]}
    files = [Artefact(name=text, media_type=FILES[each], size=3, uri=f"blob:{each}") for each in list(FILES)[:2]]
    said = {"objective": text[:2_000], "answer": text[:4_000], "shortened": True, "artefacts": files}
    turns = [ConversationTurn(run_id="run-1", status="complete", **facts, **said)]
    if waiting:
        turns.append(ConversationTurn(run_id=RUN, status="running", objective=text[:2_000], started=NOW))
    ended = SessionEnd(by=text[:200], at=NOW)
    about = {"session": text[:200], "tenant": "default", "turns": 60, "ended": ended, "expires": NOW}
    fact = ConversationFact(content=text[:600], run_id="run-1", at=NOW, origins=[text[:200]])
    return SessionView(**about, last=turns[-1], recent=turns, facts=[fact])


def trace(text: str) -> RunTrace:
    error = ErrorInfo(code=text, message=text, suggested_action=text)
    actions = [Action(what=text, at=NOW, seconds=2, turn=1, model=text, usage=USAGE)]
    attempt = Attempt(handoff_id="h", at=NOW, status=text, note=text, error=error, usage=USAGE, actions=actions)
    decided = Attempt(handoff_id="q-old", at=NOW, seconds=9, status="approve", note=text, by=text)
    works = [
        Work(id=text, agent=text, objective=text, attempts=[attempt], usage=USAGE, seconds=2, retries=1),
        Work(id="q-old", agent="person", objective=text, attempts=[decided], usage=Usage(), seconds=9, retries=0),
    ]
    return RunTrace(
        run_id=RUN,
        trace_id=text,
        state=State.EXECUTING,
        reason=text,
        started=NOW,
        seconds=2,
        usage=USAGE,
        works=works,
        retries=1,
    )


def result(text: str) -> Result:
    effect = PlannedEffect(
        call="c",
        tool=text,
        arguments=text,
        digest="d",
        risk=Risk.HIGH,
        effect=Effect.IRREVERSIBLE,
        verdict="ask",
        rule=text,
    )
    acting = ActingCall(
        work_id="w",
        call="c",
        agent="data",
        tool=text,
        effect=Effect.COMPENSABLE,
        digest="d",
        outcome="failed",
        reason=text,
    )
    return Result(
        run_id=RUN,
        task_id="t",
        tenant="default",
        status="complete",
        answer=text,
        artefacts=[
            Artefact(name=f"{text} {sha256[:4]}", media_type=FILES[sha256], size=3_000_000, uri=f"blob:{sha256}")
            for sha256 in FILES
        ],
        effects=[effect],
        acting_calls=[acting],
        caveats=[text],
        conflicts=[
            Conflict(
                subject=text[:300],
                positions=[Position(step_id=each, says=text[:1_000]) for each in ("data", "code")],
                resolved=resolved,
                resolution=text[:1_000],
                reason=text[:1_000],
            )
            for resolved in (False, True)
        ],
        confidence=0.5,
        started=NOW,
        finished=NOW,
    )


class Memory:
    """The commands of Redis that sessions use."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def set(self, name: str, value: str, ex: int) -> None:
        self.kept[name] = value

    async def get(self, name: str) -> str | None:
        return self.kept.get(name)

    async def delete(self, name: str) -> None:
        self.kept.pop(name, None)


def pages_over(gateway: Gateway, memory: Memory | None = None, **own):
    """The pages over a stand-in of the gateway."""
    http = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(gateway))
    settings = ConsoleSettings(**own)
    sessions = Sessions(memory if memory is not None else Memory(), settings.console_session)
    return pages_of(Connections(settings, http, sessions), None)


class Visit:
    """A visitor whose browser keeps cookies and sends what its forms hold."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def send(self, path: str, headers: dict | None = None, form: str = "/login", **fields: str) -> httpx.Response:
        """Send a form with the token of the page `form`."""
        token = token_in((await self.http.get(form)).text)
        return await self.http.post(path, data={"form_token": token, **fields}, headers=headers or {})

    async def log_in(self, key: str) -> httpx.Response:
        return await self.send("/login", key=key)


def token_in(page: str) -> str:
    return re.search(r'name="form_token" value="([^"]+)"', page)[1]


def said(page: str) -> str:
    """The text of a page as a person reads it."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


@asynccontextmanager
async def visiting(app):
    """A visitor of an application in this process."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        yield Visit(http)


@asynccontextmanager
async def console_for(settings, gateway: str, port: int = 0, **own):
    """A client of a console in front of a real gateway, with sessions in a real Redis."""
    async with served(application(settings, ConsoleSettings(gateway=gateway, **own)), port) as client:
        yield client


class Keys:
    """A file of principals, and their keys."""

    def __init__(self, path) -> None:
        self.path = path
        self.keys: dict[str, str] = {}

    def add(self, name: str, roles: list[str], tenants: tuple[str, ...] = ("*",)) -> str:
        key = self.keys[name] = new_key()
        entry = f'[principals."{name}"]\nsha256 = "{digest(key)}"\n'
        entry += f"tenants = {json.dumps(list(tenants))}\nroles = {json.dumps(roles)}\n"
        with self.path.open("a") as file:
            file.write(entry)
        return key


async def waits(
    store,
    run_id: str,
    text: str = "Send the mail?",
    risk: Risk | None = Risk.HIGH,
    objective: str | None = None,
    tenant: str = "default",
    session: str | None = None,
):
    """A run that waits for a person."""
    run = await begin(store, run_id, objective or text, tenant=tenant, session=session)
    handoff = next(iter(run.steps.values())).handoff_id
    about = {"proposal": proposal(text, risk), "call": "c"} if risk else {}
    asked = HelpAsked(
        id=f"asked-{run_id}",
        run_id=run_id,
        tenant=tenant,
        agent="data",
        handoff_id=handoff,
        question=text,
        **about,
    )
    return await apply(store, run_id, asked, tenant)
