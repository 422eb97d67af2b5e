"""A gateway that plays runs from a script, over real HTTP on loopback.

It answers with the models of `schemas.api` and reads requests with them, so that a drift from the real gateway fails.
"""

import asyncio
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from infra.probe import free_port
from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.api import commands as requests
from schemas.api.costs import CostLine, CostReport, TenantCosts
from schemas.api.dead_letters import (
    BatchProgress,
    BatchSelection,
    BulkDiscardRequest,
    BulkRedriveRequest,
    DeadLetterEdited,
    DeadLetterView,
    EditRequest,
    RedriveRequest,
    Search,
    SearchResult,
)
from schemas.api.errors import Failure
from schemas.api.run_batch import RunBatchProgress, RunBatchRequest, RunBatchSelection
from schemas.api.runs import RunPage, RunQuery, RunView
from schemas.api.sessions import EndSessionRequest, SessionPage, SessionQuery
from schemas.api.tasks import Links, TaskAccepted
from schemas.api.topics import GroupLag, TopicLag
from schemas.budget import Usage
from schemas.dead import DeadLetterHandled, FieldEdit
from schemas.error import ErrorInfo
from schemas.plan import AgentCard, Plan, PlannedStep, ToolCard
from schemas.skip import BatchSkipped
from schemas.step import Output
from schemas.stop import WorkStopped
from schemas.task import Attachment, Result, StepSummary, Task
from tests.support.prompt_server import PromptServer

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = "run-1"


class Script:
    """Answers of the gateway, and the requests it received."""

    def __init__(self):
        self.events = {}
        self.results = {}
        self.runs, self.traces = {}, {}
        self.files = {}
        self.pages = []
        self.approvals = []
        self.stops, self.turns = {}, {}
        tool = ToolCard(name="send", description="Sends.", risk="high")
        self.agents = [AgentCard(name="writer", description="Writes.", tools=[tool])]
        self.refusal = None
        self.key, self.shown = None, set()
        self.cut_after = None
        self.hang = False
        self.dies_at_submit = False
        self.unknown_at_first = 0
        self.refusal_of_edit = self.refusal_of_command = None
        self.dead, self.many, self.complete, self.dies_after = {}, [], True, None
        self.searches, self.orders, self.looks = [], [], 0
        self.indexing = False
        self.sessions = {}
        self.tasks, self.commands, self.resumed_after, self.uploads = [], [], [], []

    def add(self, status="complete", events=None, **result):
        """A run that ended."""
        finished = {"status": status, "started": START, "finished": START + timedelta(seconds=9)}
        step = StepSummary(id="s1", agent="research", objective="look", status="done", attempts=1, seconds=2.5)
        defaults = {"answer": "It is **so**.", "steps": [step], "models": ["waggle-simulated"], "caveats": ["perhaps"]}
        values = {"run_id": RUN, "task_id": "t", "tenant": "default"} | finished | defaults | result
        self.results[RUN] = Result.model_validate(values)
        self.events[RUN] = story(status) if events is None else events
        self.runs[RUN] = view(status.upper())

    def add_waiting(self, **facts):
        """A run that waits for a person."""
        asked = happened(
            q.HelpRequested, 5, request_id=f"{RUN}/help/1", about="step", step_id="s1", **QUESTION, **facts
        )
        waits = moved(5, "EXECUTING", "WAITING_HUMAN")
        self.events[RUN] = [*story("complete")[:-1], asked, waits]
        self.runs[RUN] = view("WAITING_HUMAN", waiting_for=asked)


QUESTION = {"question": "Send it?", "options": ["yes", "no"]}


def built(kind, fields):
    """The model with exactly these fields."""
    return kind.model_validate(fields, extra="forbid")


def view(state, **changes):
    """A run in this state."""
    absent = dict.fromkeys(("deadline", "finished", "plan", "waiting_for", "error"))
    known = {"run_id": RUN, "task_id": "t", "tenant": "default", "state": state, "reason": "", "objective": "ask"}
    return built(RunView, known | absent | {"started": START, "version": 1} | NOTHING | changes)


NOTHING = {"steps": [], "usage": Usage(), "models": []}


def happened(kind, second, **fields):
    at = START + timedelta(seconds=second)
    return kind(run_id=RUN, tenant="default", at=at, by="orchestrator", **fields)


def moved(second, source, target):
    return happened(e.Moved, second, source=source, target=target, reason=f"now {target}")


def story(status="complete", doing="reading page 3"):
    """The events of a run with one step."""
    plan = Plan(steps=[PlannedStep(id="s1", objective="look it up", agent="research")])
    task = Task(objective="what is it?")
    step = {"step_id": "s1", "agent": "research"}
    done = {"output": Output(answer="so"), "seconds": 2.5, "usage": Usage(prompt_tokens=1200, cost_usd=0.0021)}
    return [
        happened(e.RunStarted, 0, task_id="t", task=task, deadline=START + timedelta(minutes=2)),
        happened(e.PlanRequested, 0.1, handoff_id="h0"),
        happened(e.PlanAccepted, 1, plan=plan),
        happened(step_events.StepDispatched, 1.5, objective="look it up", handoff_id="h1", attempt=1, **step),
        happened(e.Progressed, 2, doing=doing, **step),
        happened(step_events.StepDone, 4, step_id="s1", **done),
        moved(9, "REVIEWING", status.upper()),
    ]


class FakeGateway:
    """Serves a script; can be stopped and started again at the same address."""

    def __init__(self, script):
        self.script = script
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        config = uvicorn.Config(app_of(self.script), port=self.port, log_config=None)
        self._server = PromptServer(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.01)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def serving(script):
    gateway = FakeGateway(script)
    gateway.start()
    yield gateway
    gateway.stop()


class RefusedError(Exception):
    pass


def refused(status, code, message, action=None):
    failure = Failure(error=ErrorInfo(code=code, message=message, suggested_action=action))
    return JSONResponse(failure.model_dump(mode="json"), status_code=status)


def unknown_run(run_id):
    return refused(404, "unknown_run", f"this tenant has no run {run_id}")


COMMANDS = {
    "cancel": requests.ReasonedRequest,
    "feedback": requests.FeedbackRequest,
    "messages": requests.MessageRequest,
    "pause": requests.ReasonedRequest,
    "resume": requests.CommandRequest,
    "carry-out": requests.ApplyRequest,
    "decisions": requests.DecisionRequest,
    "decisions/withdraw": requests.WithdrawRequest,
    "decisions/delegate": requests.DelegateRequest,
}
BULK = {"redrive": BulkRedriveRequest, "discard": BulkDiscardRequest}


async def order_of(kind, request):
    """The body of a request, which is valid for the real gateway."""
    body = await request.json()
    kind.model_validate(body)
    return body


def app_of(script):
    async def refuse(request: Request):
        key = request.headers.get("authorization")
        script.shown.add(key)
        if script.key and key != f"Bearer {script.key}":
            script.refusal = (401, "unauthenticated", "the key is unknown" if key else "the request has no key", None)
        if script.refusal:
            raise RefusedError

    app = FastAPI(dependencies=[Depends(refuse)])

    @app.exception_handler(RefusedError)
    async def answer(request, error):
        return refused(*script.refusal)

    @app.post("/v1/tasks", status_code=202)
    async def submit(request: Request):
        script.tasks.append((await request.json(), request.headers.get("idempotency-key"), dict(request.query_params)))
        if script.dies_at_submit:
            return StreamingResponse(broken(), status_code=202)
        return TaskAccepted(run_id=RUN, task_id="t", tenant="default", links=Links(self="", events="", result=""))

    @app.post("/v1/files", status_code=201)
    async def upload(name: str, request: Request):
        body, kind = await request.body(), request.headers["content-type"]
        script.uploads.append((name, kind, body))
        return Attachment(name=name, media_type=kind, size=len(body), uri=f"blob:{len(body):064}")

    @app.get("/v1/files/{sha256}")
    async def download(sha256: str):
        return Response(script.files[sha256])

    serve_lists(app, script)
    serve_sessions(app, script)

    @app.get("/v1/approvals")
    def approvals(offset: int = 0):
        return script.approvals[offset]

    @app.get("/v1/runs/{run_id}")
    async def run(run_id: str):
        return script.runs.get(run_id) or unknown_run(run_id)

    @app.get("/v1/runs/{run_id}/result")
    async def result(run_id: str):
        if run_id in script.results:
            return Response(script.results[run_id].model_dump_json(), media_type="application/json")
        return refused(409, "not_finished", "the run is EXECUTING")

    @app.get("/v1/runs/{run_id}/task")
    async def task(run_id: str):
        started = next(each for each in script.events[run_id] if isinstance(each, e.RunStarted))
        return Response(started.task.model_dump_json(), media_type="application/json")

    @app.get("/v1/runs/{run_id}/trace")
    async def trace(run_id: str):
        return script.traces.get(run_id) or unknown_run(run_id)

    @app.get("/v1/runs/{run_id}/steps/{step_id}/turns")
    async def turns(run_id: str, step_id: str):
        return script.turns.get(step_id) or refused(404, "unknown_step", f"no agent has started a step {step_id}")

    @app.get("/v1/runs/{run_id}/events")
    async def events(run_id: str, request: Request):
        if script.unknown_at_first or run_id not in script.events:
            script.unknown_at_first -= 1
            return unknown_run(run_id)
        after = int(request.headers.get("last-event-id", "0"))
        script.resumed_after.append(after)
        return StreamingResponse(stream(script, run_id, after), media_type="text/event-stream")

    @app.post("/v1/runs/{run_id}/{verb:path}", status_code=202)
    async def command(run_id: str, verb: str, request: Request):
        order = await order_of(COMMANDS[verb], request)
        if script.refusal_of_command:
            return refused(*script.refusal_of_command)
        script.commands.append((run_id, verb, order))
        return requests.CommandAccepted(run_id=run_id, tenant="default", message_id="m")

    @app.get("/v1/agents")
    async def agents():
        return [each.model_dump(mode="json") for each in script.agents]

    @app.get("/v1/topics")
    async def topics():
        script.looks += 1
        group = GroupLag(group="waggle.orchestrator", lag=12, members=2, state="Stable")
        topic = TopicLag(topic="waggle.tasks", partitions=4, messages=30, written=100 * script.looks, groups=[group])
        table = GroupLag(group="waggle.timekeeper", lag=None)
        return [topic, topic.model_copy(update={"topic": "waggle.timers", "groups": [table]})]

    @app.post("/v1/topics/{topic}/partitions/{partition}/skip", status_code=202)
    async def skip(topic: str, partition: int, request: Request):
        order = await order_of(requests.SkipRequest, request)
        script.orders.append((topic, partition, order))
        first, by, reason = order["offset"], order["by"], order["reason"]
        place = {"topic": topic, "partition": partition, "first": first, "end": first + 3}
        return built(BatchSkipped, place | {"by": by, "reason": reason, "at": START})

    serve_stops(app, script)
    serve_dead_letters(app, script)
    serve_costs(app, script)
    return app


def serve_costs(app, script):
    @app.get("/v1/costs")
    async def costs(days: int, tenant: str):
        script.looks = days
        line = CostLine(name="waggle\x1b[2J", cost_usd=0.25, tokens=1200, model_calls=3, tool_calls=1)
        return CostReport(
            tenant=tenant,
            since=START.date(),
            until=START.date(),
            total=line,
            days=[line] * days,
            agents=[line],
            models=[line],
            types=[],
        )

    @app.get("/v1/costs/tenants")
    async def tenant_costs(days: int):
        line = CostLine(name="shop", cost_usd=0.25, tokens=1200, model_calls=3, tool_calls=1)
        return TenantCosts(since=START.date(), until=START.date(), tenants=[line], complete=False)


def serve_stops(app, script):
    @app.put("/v1/stops/{scope}")
    async def stop(scope: str, request: Request):
        order = await order_of(requests.ReasonedRequest, request)
        script.stops[scope] = WorkStopped(scope=scope, at=START, **order)
        return script.stops[scope]

    @app.delete("/v1/stops/{scope}")
    async def release(scope: str):
        return requests.Released(scope=scope, was=script.stops.pop(scope, None))

    @app.get("/v1/stops")
    async def stops():
        return list(script.stops.values())


def serve_sessions(app, script):
    @app.get("/v1/sessions")
    async def sessions(query: Annotated[SessionQuery, Query()]):
        found = list(script.sessions.values())[query.offset : query.offset + query.limit]
        following = query.offset + query.limit if len(found) == query.limit else None
        return SessionPage(sessions=[each.model_dump() for each in found], next_offset=following)

    @app.get("/v1/sessions/{name:path}")
    async def session(name: str):
        unknown = refused(404, "unknown_session", f"this tenant has no session {name}")
        return script.sessions.get(name) or unknown

    @app.post("/v1/sessions/{name:path}/end", status_code=202)
    async def end(name: str, request: Request):
        script.orders.append((name, "end", await order_of(EndSessionRequest, request)))
        return requests.CommandAccepted(run_id=RUN, tenant="default", message_id="m")


def serve_lists(app, script):
    @app.get("/v1/runs")
    async def runs(query: Annotated[RunQuery, Query()]):
        script.searches.append(query.model_dump(mode="json", exclude_unset=True))
        number = int(query.cursor.partition("~")[0]) if query.cursor else 0
        following = f"{number + 1}~run" if number + 1 < len(script.pages) else None
        return RunPage(runs=script.pages[number], next_offset=None, next_cursor=following, indexing=script.indexing)

    @app.post("/v1/runs/batch")
    async def act_on_runs(request: Request):
        order = await order_of(RunBatchRequest, request)
        script.orders.append(order)
        return StreamingResponse(batched(script, order), media_type="application/jsonl")


def serve_dead_letters(app, script):
    @app.get("/v1/dead-letters")
    async def dead_letters(request: Request):
        query = dict(request.query_params)
        Search.model_validate(query)
        script.searches.append(query)
        letters = [each.model_dump() for each in script.dead.values()]
        return SearchResult(letters=letters, complete=script.complete, not_looked_at=1200)

    @app.get("/v1/dead-letters/{name:path}")
    async def dead_letter(name: str):
        return script.dead.get(name) or refused(404, "unknown_dead_letter", f"there is no dead letter `{name}`")

    @app.post("/v1/dead-letters/{verb}")
    async def handle_many(verb: str, request: Request):
        script.orders.append((None, verb, await order_of(BULK[verb], request)))
        return StreamingResponse(told(script), media_type="application/jsonl")

    @app.post("/v1/dead-letters/{name:path}/edit")
    async def edit(name: str, request: Request):
        order = await order_of(EditRequest, request)
        script.orders.append((name, "edit", order))
        if script.refusal_of_edit:
            return refused(422, "invalid_edit", script.refusal_of_edit, "correct the named field")
        edits = [FieldEdit(path="objective", before=None, after='"\x1b[2Jcount"')]
        done = None if order.get("dry_run") else handled(name, "redriven", order)
        return DeadLetterEdited(name=name, edits=edits, more_edits=0, handled=done)

    @app.post("/v1/dead-letters/{name:path}/{verb}")
    async def handle(name: str, verb: str, request: Request):
        order = await order_of(RedriveRequest if verb == "redrive" else requests.ReasonedRequest, request)
        script.orders.append((name, verb, order))
        if script.dead[name].handled and not order.get("again"):
            return refused(409, "already_handled", f"{name} was redriven by grace")
        return handled(name, f"{verb}ed".replace("redriveed", "redriven"), order)


def handled(name, action, order):
    """The record of an action on a dead letter."""
    by, reason = order["by"], order["reason"]
    return DeadLetterHandled(name=name, action=action, by=by, at=START, reason=reason, died=START)


def dead_letter(name, **fields):
    """A dead letter as the gateway shows it."""
    known = {"topic": "tasks", "at": START, "error": "defect", "message": "no use", "attempts": "3"}
    known |= {"tenant": "shop", "size": 2, "came_from": None, "state": "open", "handled": None, "partition": "1"}
    known |= {"offset": "9", "service": "orchestrator", "version": "0.1.0", "trace_id": "ab12", "causes": None}
    known |= {"redriven_by": None, "key": {"text": "k"}, "headers": [{"name": "ce_id", "text": "t1"}]}
    return built(DeadLetterView, {"name": name, "payload": {"text": "{}"}} | known | fields)


async def batched(script, order):
    many = len(script.many)
    first = [run for page in script.pages for run in page]
    yield (
        RunBatchSelection(action=order["action"], of=many, complete=script.complete, first=first).model_dump_json()
        + "\n"
    )
    for n, (name, outcome) in enumerate([] if order.get("dry_run") else script.many, 1):
        if script.dies_after == n - 1:
            raise ConnectionError("cut by the script")
        error = None if outcome == "accepted" else ErrorInfo(code="ended", message="it has ended")
        yield RunBatchProgress(n=n, of=many, run_id=name, outcome=outcome, error=error).model_dump_json() + "\n"


async def told(script):
    many = len(script.many)
    yield BatchSelection(of=many, complete=script.complete, not_looked_at=0).model_dump_json() + "\n"
    for n, (name, outcome) in enumerate(script.many, 1):
        if script.dies_after == n - 1:
            raise ConnectionError("cut by the script")
        error = ErrorInfo(code="x", message="a\u2028b") if outcome in {"failed", "skipped"} else None
        yield BatchProgress(n=n, of=many, name=name, outcome=outcome, error=error).model_dump_json() + "\n"


async def stream(script, run_id, after):
    yield ": here\n\n"
    for number, event in enumerate(script.events[run_id], 1):
        if number <= after:
            continue
        if script.cut_after == number - 1:
            script.cut_after = None
            raise ConnectionError("cut by the script")
        yield f"id: {number}\nevent: {event.wire_type()}\ndata: {event.model_dump_json()}\n\n"
    while script.hang:
        await asyncio.sleep(0.05)


async def broken():
    yield '{"run_id": '
    raise ConnectionError("cut by the script")
