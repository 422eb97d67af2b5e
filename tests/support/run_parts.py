"""Contents of a run as a gateway answers with them, with a given text in every field: turns, record, files, audit."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx
from pydantic import BaseModel

from schemas.api.audit import AuditAnswer, AuditRow
from schemas.api.audit_costs import AuditCostLine, AuditCosts
from schemas.api.contents import AuditPage, ContentAccess, RecordEntry, RecordView, RecordWrite
from schemas.api.trace import PromptSize, Turn, TurnCall, TurnPage, TurnSummary
from schemas.budget import Usage
from schemas.task import Task

RUN = "run-hostile"
NOW = datetime.now(UTC)
USAGE = Usage(prompt_tokens=1200, completion_tokens=80, cost_usd=0.02, model_calls=1)
HANDOFF = f"{RUN}/data/0.0.1"

MARKDOWN, CSV, JSON, TEXT, HTML, SVG, PNG, LIAR = (each * 64 for each in "12345678")
"""Digests of files by what they are; `LIAR` is a page that says it is an image."""

FILES: Mapping[str, str] = {
    MARKDOWN: "text/markdown",
    CSV: "text/csv",
    JSON: "application/json",
    TEXT: "text/plain",
    HTML: "text/html",
    SVG: "image/svg+xml",
    PNG: "image/png",
    LIAR: "image/png",
}
"""Media types of the files by their digests."""

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63506870000001"
    "a400e1add3a7810000000049454e44ae426082"
)


def stored_file(sha256: str, text: str) -> httpx.Response:
    """The answer of the archive."""
    return httpx.Response(200, content=_content(sha256, text), headers={"Content-Type": FILES[sha256]})


def _content(sha256: str, text: str) -> bytes:
    if sha256 == PNG:
        return PIXEL
    if sha256 == CSV:
        return f'name,"{text.replace(chr(34), chr(39))}"\n1,2\n'.encode()
    if sha256 == JSON:
        return json.dumps([{text: text}, {"b": 1}]).encode()
    if sha256 == SVG:
        return b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    if sha256 == MARKDOWN:
        return markdown(text).encode()
    return f"<html><body>{text}</body></html>".encode()


def markdown(text: str) -> str:
    """Markdown with everything in it that could load, run or be pressed."""
    return f"""# Title

{text}

![remote](https://evil.example/pixel.png "t") [link](https://evil.example/a) <https://evil.example/b>
[press](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>)

<script>alert(1)</script><img src=x onerror=alert(1)>

| a | b |
|:--|--:|
| 1 | **2** |

```html
<b>{text}</b>
```

1. one
2. two
"""


def _turns(text: str) -> TurnPage:
    turn = TurnSummary(
        thought=1, turn=1, handoff_id=HANDOFF, model=text, seconds=2, usage=USAGE, finish_reason=text, calls=[text]
    )
    works = [f"{RUN}/data/0.0", f"{RUN}/data/0.1"]
    return TurnPage(step_id="data", work_id=works[0], works=works, turns=[turn, turn], older=50)


def _turn(text: str) -> Turn:
    call = {"id": "c", "type": "function", "function": {"name": text, "arguments": json.dumps({"a": text})}}
    messages = [
        {"role": "system", "content": text},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    made = TurnCall(
        place="think-1/turn-2/call-1",
        tool=text,
        arguments=json.dumps({"a": text}),
        verdict="deny",
        rule=text,
        reason=text,
        result=json.dumps({"error": text}),
        made=False,
    )
    waits = TurnCall(place="think-1/turn-2/call-2", tool=text, arguments=text, made=False)
    reply = {"content": text, "model": text, "seconds": 1.5, "usage": USAGE.model_dump(), "finish_reason": text}
    return Turn(
        run_id=RUN,
        step_id="data",
        handoff_id=HANDOFF,
        thought=1,
        turn=2,
        messages=messages,
        tools=[{"type": "function", "function": {"name": text, "description": text}}],
        result="Findings",
        reply=reply,
        packed=[text, "turns 3–40 as a summary"],
        size=PromptSize(tokens=900, estimated=True, limit=1_000, window=2_000),
        omitted=3,
        added=2,
        calls=[made, waits],
        after=(1, 3),
    )


def _record(text: str) -> RecordView:
    entry = RecordEntry(name="step:data", size=40_000, version=3, by=text, at=NOW, value=json.dumps({"a": text}))
    bare = RecordEntry(name="plan", size=10)
    write = RecordWrite(version=3, at=NOW, by=text, events=[text, "moved.v1"])
    return RecordView(
        version=3, written_by=text, written_at=NOW.isoformat(), written_why=text, entries=[entry, bare], writes=[write]
    )


def _audit(text: str) -> AuditPage:
    about = {"at": NOW, "by": text, "what": text}
    accesses = [
        ContentAccess(id="1-0", run_id=RUN, kind="turn", **about),
        ContentAccess(id="0-1", run_id="", kind="file", **about),
    ]
    return AuditPage(accesses=accesses, older="0-1")


def _audit_rows(text: str) -> AuditAnswer:
    name = text[:200]
    about = dict.fromkeys(("kind", "name", "step_id", "agent", "by", "outcome", "verdict", "ref", "about"), name)
    about |= dict.fromkeys(("source", "previous", "hash", "digest"), "ab12")
    about |= {"at": NOW, "run_id": RUN, "facts": {text: text}, "tokens_in": 1200, "cost_usd": 0.25, "seconds": 1.5}
    shown = AuditRow(number=7, contents={"arguments": text}, state="shown", **about)
    bare = AuditRow(number=6, at=NOW, kind="stop", name="all", source="control/0/1/0", previous="", hash="ab12")
    return AuditAnswer(rows=[shown, bare], next_cursor="1~6")


def audit_costs(text: str, lines: int = 2) -> AuditCosts:
    """Costs by the record, by agent and run, with this text as every name."""
    sums = dict.fromkeys(("tokens_in", "tokens_out", "model_calls", "tool_calls", "lost"), 1200 * min(lines, 1))
    line = AuditCostLine(names=[text[:200]] * 2, cost_usd=0.25 * lines, **sums)
    about = {"since": NOW, "until": NOW, "by": ["agent", "run"], "complete": not lines}
    return AuditCosts(tenant=text[:200], total=line, lines=[line] * lines, **about)


def _task(text: str) -> Task:
    return Task(objective=text, constraints=[text], context={"text": text, "data": {"a": text}})


PARTS: Mapping[str, Callable[[str], BaseModel]] = {
    "steps/data/turns": _turns,
    "steps/data/turns/2": _turn,
    "record": _record,
    "record/contents": _record,
    "task": _task,
    "audit": _audit,
    "audit/records": _audit_rows,
    "audit/cost": audit_costs,
}
"""Answers by the path below the run, or below `/v1`."""
