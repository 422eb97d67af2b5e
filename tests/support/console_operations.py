"""A stand-in of the gateway for the operators' pages: every field that is shown holds hostile text."""

import json

import httpx

from schemas.api.agents import AgentView
from schemas.api.costs import CostLine, CostReport, TenantCosts
from schemas.api.dead_letters import (
    BatchProgress,
    BatchSelection,
    Bytes,
    DeadLetterEdited,
    DeadLetterSummary,
    DeadLetterView,
    Header,
    SearchResult,
)
from schemas.api.tasks import Links, TaskAccepted
from schemas.api.topics import PartitionLag, RecordPeek, TopicDetail
from schemas.dead import FieldEdit
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.health import AgentHealth, ModelHealth, ServerHealth
from schemas.plan import ArgumentSchema, Effect, Risk, ToolCard, ToolScope
from schemas.stop import WorkStopped
from schemas.task import Attachment
from schemas.versions import Versions
from tests.support.console import HOSTILE, NOW, RUN, VERDICTS, Gateway, result, view
from tests.support.console_letters import NAME, handled, summary_fields

LETTER = f"/dead-letters/{NAME}"

PLAIN = "the field `objective` is missing"

_ONE = "/dead-letters/{topic}/{partition}/{offset}"
_ALL = "/dead-letters/all/{verb}"

TABLE = [
    ("/topics", "/topics", "operations"),
    ("/topics", "/topics", "hostile operations"),
    ("/topics", "/topics", "no operations"),
    ("/topics/{topic}", "/topics/tasks", "operations"),
    ("/topics/{topic}", "/topics/tasks?partition=0", "operations"),
    ("/topics/{topic}", "/topics/tasks?partition=0&contents=1", "hostile operations"),
    ("/topics/{topic}", "/topics/tasks?partition=0", "no operations"),
    ("/agents", "/agents", "operations"),
    ("/agents", "/agents", "hostile operations"),
    ("/agents", "/agents", "no operations"),
    ("/agents", "/agents", "operations", "details.tool summary"),
    ("/agents", "/agents", "hostile operations", "details.tool summary"),
    ("/doctor", "/doctor", "operations"),
    ("/doctor", "/doctor", "hostile operations"),
    ("/stops/{scope}", "/stops/agent:data", "operations"),
    ("/stops/{scope}", "/stops/agent:data", "hostile operations"),
    ("/costs", "/costs?days=7", "operations"),
    ("/costs", "/costs?days=30&tenant=acme", "hostile operations"),
    ("/costs", "/costs", "no operations"),
    ("/submit", "/submit", "operations"),
    ("/submit", "/submit?tenant=acme", "hostile operations"),
    ("/submit", "/submit", "operations", '[name="do"][value="submit"]'),
    ("/runs/{run_id}/apply", f"/runs/{RUN}/apply", "operations"),
    ("/runs/{run_id}/apply", f"/runs/{RUN}/apply", "hostile operations"),
    ("/runs/{run_id}/apply", f"/runs/{RUN}/apply", "no operations"),
    ("/dead-letters", "/dead-letters", "operations"),
    (
        "/dead-letters",
        "/dead-letters?state=any&topic=%3Cscript%3E&error=%22onfocus%3D1&age=7d&tenant=acme&limit=50",
        "hostile operations",
    ),
    ("/dead-letters", "/dead-letters", "no operations"),
    (_ONE, LETTER, "operations"),
    (_ONE, f"{LETTER}?show=text&notice=edit", "hostile operations"),
    (_ONE, f"{LETTER}?show=hex", "operations"),
    (f"{_ONE}/edit", f"{LETTER}/edit", "operations"),
    (f"{_ONE}/edit", f"{LETTER}/edit", "hostile operations"),
    (f"{_ONE}/edit", f"{LETTER}/edit", "operations", '[name="do"][value="check"]'),
    (f"{_ONE}/{{verb}}", f"{LETTER}/redrive", "hostile operations"),
    (f"{_ONE}/{{verb}}", f"{LETTER}/discard", "operations"),
    (_ALL, "/dead-letters/all/redrive?topic=tasks", "operations"),
    (_ALL, "/dead-letters/all/redrive?topic=tasks", "hostile operations"),
    (_ALL, "/dead-letters/all/discard?error=defect", "many operations"),
    (_ALL, "/dead-letters/all/discard", "operations"),
    (_ALL, "/dead-letters/all/discard?topic=tasks", "no operations"),
]
"""Routes of operators, their pages, and the gateway that puts each in its state; a button that is pressed there."""

PAGES = sorted({each[1] for each in TABLE})
"""Pages of operators."""


class Operations(Gateway):
    """A gateway with one dead letter, and what else operators look at."""

    def __init__(self, text: str = HOSTILE, keys: tuple[str, ...] = ()) -> None:
        super().__init__(text, keys)
        self.letters = 1
        self.payload: Bytes | None = None
        self.refuse_posts: tuple[int, ErrorInfo] | None = None
        self.editable = ["objective", text]
        self.lines = 2
        self.lost = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        usual = super().__call__(request)
        if request.method == "GET" or usual.status_code != 202:
            return usual
        if self.refuse_posts:
            status, error = self.refuse_posts
            return httpx.Response(status, json={"error": error.model_dump()})
        return self._done(request.url.path, request.url.params.get("name", ""))

    def _done(self, path: str, name: str) -> httpx.Response:
        if path.endswith("/edit"):
            edits = [FieldEdit(path=self.text[:500], before=self.text[:1000], after=self.text[:1000])]
            return _json(DeadLetterEdited(name=NAME, edits=edits, more_edits=3, handled=None))
        if path.startswith("/v1/dead-letters/tasks.dlt"):
            return _json(handled(self.text))
        if path.startswith("/v1/dead-letters/"):
            return httpx.Response(200, content=self._streamed())
        if path == "/v1/files":
            return _json(Attachment(name=name, uri="blob:0", size=3))
        if path == "/v1/tasks":
            return _json(
                TaskAccepted(run_id="r", task_id="t", tenant="default", links=Links(self="", events="", result=""))
            )
        return httpx.Response(202, json={"run_id": "r", "tenant": "default", "message_id": "m"})

    async def _streamed(self):
        for each in self._batch():
            yield f"{each.model_dump_json()}\n".encode()
        if self.lost:
            raise httpx.ReadError("the connection was reset")

    def _batch(self):
        yield BatchSelection(of=self.lines, complete=False, not_looked_at=7)
        error = ErrorInfo(code="busy", message=self.text, suggested_action=self.text)
        for number in range(1, self.lines + 1):
            yield BatchProgress(n=number, of=self.lines, name=NAME, outcome="skipped", error=error)

    def _shown(self, what: str) -> httpx.Response:
        if what == "run":
            return _json(view(self.text, waiting=False).model_copy(update={"state": State.COMPLETE}))
        if what == "result":
            effects = {} if self.letters else {"effects": []}
            return _json(result(self.text).model_copy(update={"effects_digest": "e" * 64, **effects}))
        if what == "agents" and not self.letters:
            return httpx.Response(200, json=[])
        if what == "agents":
            return httpx.Response(200, json=[each.model_dump(mode="json") for each in agents_of(self.text)])
        if what == "topics" and not self.letters:
            return httpx.Response(200, json=[])
        if what.startswith("topics/"):
            return self._topic(what)
        if what == "stops" and self.letters:
            scopes = ["all", "agent:data"]
            stopped = [WorkStopped(scope=each, by=self.text[:200], reason=self.text, at=NOW) for each in scopes]
            return httpx.Response(200, json=[each.model_dump(mode="json") for each in stopped])
        if what.startswith("costs"):
            return _json(self._costs(what))
        if what == "dead-letters":
            letters = [DeadLetterSummary(**summary_fields(self.text)) for _ in range(self.letters)]
            return _json(SearchResult(letters=letters, complete=not letters, not_looked_at=12))
        if what.startswith("dead-letters/"):
            return _json(self._letter())
        return super()._shown(what)

    def _topic(self, what: str) -> httpx.Response:
        if not what.endswith("records"):
            partition = PartitionLag(partition=0, first=3, end=9, lag={self.text: 1_200})
            return _json(TopicDetail(topic=self.text, groups=[self.text], partitions=[partition]))
        about = dict.fromkeys(("key", "type", "source", "id", "tenant", "problem", "payload"), self.text)
        record = RecordPeek(offset=7, at=NOW, size=60, tombstone=True, cut=True, **about)
        return httpx.Response(200, json=[record.model_dump(mode="json")] * self.letters)

    def _costs(self, what: str) -> CostReport | TenantCosts:
        line = CostLine(name=self.text, cost_usd=0.25 * self.letters, tokens=1200, model_calls=3, tool_calls=1)
        lines, day = [line] * self.letters, NOW.date()
        if what.endswith("tenants"):
            return TenantCosts(since=day, until=day, tenants=lines, complete=False)
        about = {"agents": lines, "models": lines, "types": lines, "days": [line] * 2}
        return CostReport(tenant=self.text, since=day, until=day, total=line, **about)

    def _letter(self) -> DeadLetterView:
        payload = Bytes(text=json.dumps({"objective": self.text, "token": "***"}))
        return DeadLetterView(
            **summary_fields(self.text),
            partition=self.text,
            offset=self.text,
            service=self.text,
            version=self.text,
            causes=[{"code": self.text}],
            redriven_by=self.text,
            key=Bytes(text=self.text),
            headers=[Header(name=self.text, text=self.text)],
            payload=self.payload or payload,
            editable=self.editable,
            not_editable="" if self.editable else self.text,
        )


def agents_of(text: str) -> list[AgentView]:
    """An agent with two replicas that differ and tools of several kinds, and an agent of an earlier version."""
    schema = {
        "type": "object",
        "properties": {
            text: {"type": text, "description": text, "pattern": text, "default": text},
            "choice": {"enum": [text, 1]},
            "item": {"type": "array", "items": {"type": "object", "properties": {text: {"const": text}}}},
        },
        "required": [text],
        "title": text,
    }
    card = {"name": text, "description": text, "risk": Risk.HIGH, "source": f"mcp:{text}"}
    scopes = [
        ToolScope(local=False, destinations=[text[:200]], some_tenants=True),
        ToolScope(local=True),
        ToolScope(local=False),
    ]
    whole = ArgumentSchema(content=schema)
    cuts = [whole, whole.model_copy(update={"cut": "prose"}), ArgumentSchema(content=schema, cut="nested", left_out=7)]
    tools = [
        *(ToolCard(**card, effect=Effect.IRREVERSIBLE, scope=scopes[n], arguments=cuts[n]) for n in range(3)),
        ToolCard(**card, effect=Effect.READ, arguments=ArgumentSchema(content={})),
        ToolCard(**card | {"source": "mcp:older"}),
    ]
    name = text[:200]
    lost = ServerHealth(name=name, connected=False, since=NOW, tools=1, error=text[:300], error_at=NOW)
    back = lost.model_copy(update={"connected": True})
    model = {"endpoint": name, "model": name, "found": text[:300], "action": text[:300], "seconds": 0.25, "at": NOW}
    models = [ModelHealth(**model, verdict=each) for each in VERDICTS]
    new = ServerHealth(name="new", connected=False)
    replicas = [
        AgentHealth(agent="data", replica="a1", servers=[lost, new], models=models),
        AgentHealth(agent="data", replica="b2", servers=[back]),
    ]
    versions = Versions(agent=text, prompt=text, tools=text)
    about = {"description": text, "versions": versions, "result_schema": {"title": text}}
    return [
        AgentView(name="data", tools=tools, replicas=replicas, **about),
        AgentView(name="older", description=text, plannable=False, running=False, seen=NOW),
    ]


def _json(model) -> httpx.Response:
    return httpx.Response(200, content=model.model_dump_json())


def _counted(letters: int) -> Operations:
    gateway = Operations(PLAIN)
    gateway.letters = letters
    return gateway


STATES = {
    "operations": lambda: Operations(PLAIN),
    "hostile operations": Operations,
    "no operations": lambda: _counted(0),
    "many operations": lambda: _counted(60),
}
"""Gateways by the state that their answers put a page in."""
