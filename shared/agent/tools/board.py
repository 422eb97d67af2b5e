"""Tools of the runtime for the run's board and for claims: offered to models, and the way of `ctx.board`.

They only change what the swarm itself keeps, so they count as reads: no approval, no effect to plan or to repeat. An
answer with content of others has an origin, and taints its reader with everything the authors had read.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema

from schemas.board import (
    LARGEST_CONTENT,
    MOST_ORIGINS,
    BoardEntry,
    BoardKey,
    BoardKind,
    BoardReason,
    Claim,
    ClaimSeconds,
    WaitSeconds,
)
from schemas.message import MOST, Json
from schemas.plan import Effect, Risk
from shared.agent.handoff_run import HandoffRun
from shared.blackboard import VersionConflict
from shared.blackboard.board import Post
from shared.blackboard.claims import Refused, Wanted
from shared.errors import TerminalError
from shared.guardrails import GuardrailAction, Screening, named, read_policy, strictest
from shared.telemetry import agent_spans
from shared.tools import WITHOUT_IT, Tool, ToolContext, ToolError

LARGEST_READ = 40_000
"""Characters of the entries that one read returns: the newest that fit."""

LOOK_EVERY = 0.5
"""Seconds between two reads of a board that is watched."""

_Version = Annotated[int, Field(ge=0, le=MOST)]


def _shorten(schema: dict[str, Any]) -> None:
    """Leave out of a schema what no model needs: it is a part of every prompt."""
    schema.pop("title")
    schema.pop("description")
    for each in schema["properties"].values():
        each.pop("title", None)


class ShortArguments(BaseModel):
    """Arguments whose schema has no words that models do not need."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra=_shorten)


class PostArguments(ShortArguments):
    """Arguments of `post_to_board`."""

    kind: BoardKind = Field(description="artefact: a reference to a file; question: open, or with its answer.")
    key: BoardKey = Field(description="Name of the entry; the same name makes its next version.")
    content: Annotated[Json, WithJsonSchema({"type": "string"})]
    reason: BoardReason = Field(description="Why others need it.")
    expect: _Version | None = Field(None, description="Version you have read; 0: it must not exist yet.")


class ReadArguments(ShortArguments):
    """Arguments of `read_board`."""

    kind: BoardKind | None = None
    key: BoardKey | None = None


class WatchArguments(ReadArguments):
    """Arguments of `watch_board`, which only handlers call."""

    seen: dict[str, _Version] = Field(default_factory=dict, max_length=1_000)
    within: WaitSeconds = 0.0


class ClaimArguments(ShortArguments):
    """Arguments of `claim_resource`."""

    resource: BoardKey = Field(description="Such as `customer 42`.")
    reason: BoardReason
    seconds: ClaimSeconds = Field(3600.0, description="Time after which the claim ends by itself.")
    wait: WaitSeconds = Field(0.0, description="Seconds to wait while another run holds it.")


class ReleaseArguments(ShortArguments):
    """Arguments of `release_resource`, which only handlers call."""

    resource: BoardKey
    reason: BoardReason


def place_of(entry: BoardEntry) -> str:
    """Return kind and key of an entry as `WatchArguments.seen` has them."""
    return f"{entry.kind}/{entry.key}"


async def _post(
    handoff_run: HandoffRun,
    *,
    kind: BoardKind,
    key: str,
    content: Any,
    reason: str,
    expect: int | None,
    call: ToolContext,
) -> dict[str, Any]:
    metrics = handoff_run.runtime.metrics
    guarded, reason = await asyncio.to_thread(_guarded, handoff_run, content, reason)
    taint = handoff_run.authorizer.taint.origins[-MOST_ORIGINS:]
    try:
        entry = await handoff_run.board.post(Post(kind, key, guarded, reason, expect, taint, call.call_id))
    except VersionConflict as conflict:
        metrics.board_posts.labels(kind, "conflict").inc()
        current = _shown(conflict.current) if conflict.current else None
        return {"posted": False, "conflict": str(conflict), "entries": [current] if current else []}
    except TerminalError as refused:
        metrics.board_posts.labels(kind, "refused").inc()
        raise ToolError(refused.code, str(refused), suggested_action=WITHOUT_IT) from refused
    metrics.board_posts.labels(kind, "posted").inc()
    agent_spans.posted(kind, key, entry.version)
    known = _shown(entry)
    if guarded == content:
        del known["content"]  # its author knows it, and pays for every word of an answer
    return {"posted": True, "entry": known}


def _guarded(handoff_run: HandoffRun, content: Any, reason: str) -> tuple[Any, str]:
    """Return content and reason behind the output guardrails. Raises ToolError `too_large`, `guardrail`."""
    size = len(json.dumps(content, ensure_ascii=False))
    if size > LARGEST_CONTENT:
        message = f"the content has {size} characters; {LARGEST_CONTENT} are allowed"
        raise ToolError("too_large", message, suggested_action="save a file and post a reference to it")
    policy = read_policy(handoff_run.runtime.settings.guardrails)
    screening = Screening(policy, "output", handoff_run.handoff.tenant)
    said = screening.deep({"content": content, "reason": reason}, "the post")
    if screening.tripped and strictest(screening.tripped) is GuardrailAction.REJECT:
        reasons = "; ".join(str(each) for each in screening.tripped if each.action is GuardrailAction.REJECT)
        message = f"the guardrails refuse the post: {reasons}"[:2_000]
        raise ToolError("guardrail", message, suggested_action="leave that out, and post it again")
    return said["content"], said["reason"]


async def _read(handoff_run: HandoffRun, *, kind: BoardKind | None, key: str | None) -> dict[str, Any]:
    return _answer(await handoff_run.board.read(kind or "", key or ""), key)


async def _watch(
    handoff_run: HandoffRun, *, kind: BoardKind | None, key: str | None, seen: Mapping[str, int], within: float
) -> dict[str, Any]:
    ends = time.monotonic() + within
    while True:
        entries = await handoff_run.board.read(kind or "", key or "")
        news = [each for each in entries if each.version > seen.get(place_of(each), 0)]
        if news or time.monotonic() >= ends:
            return _answer(news, key)
        await asyncio.sleep(min(LOOK_EVERY, max(0.0, ends - time.monotonic())))


def _answer(entries: Iterable[BoardEntry], key: str | None) -> dict[str, Any]:
    """Return the newest entries that fit; those without the key are looked for among all of that key."""
    shown, room, left_out = list[dict[str, Any]](), LARGEST_READ, 0
    for each in reversed([each for each in entries if key is None or each.key == key]):
        entry = _shown(each)
        room -= len(json.dumps(entry, ensure_ascii=False))
        if room < 0:
            left_out += 1
        else:
            shown.append(entry)
    return {"entries": shown[::-1]} | ({"left_out": left_out} if left_out else {})


def _shown(entry: BoardEntry) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude={"run_id", "tenant"})


async def _claim(
    handoff_run: HandoffRun, *, resource: str, reason: str, seconds: float, wait: float, call: ToolContext
) -> dict[str, Any]:
    wanted = Wanted(resource, seconds, reason, call.call_id)
    try:
        found = await handoff_run.board.claim(wanted, wait)
    except TerminalError as refused:
        raise ToolError(refused.code, str(refused), suggested_action=WITHOUT_IT) from refused
    metrics = handoff_run.runtime.metrics.claims
    if isinstance(found, Refused):
        metrics.labels("refused").inc()
        return {"held": False, "holder": _known(found.holder)}
    metrics.labels("held").inc()
    return {"held": True, **_known(found)}


def _known(claim: Claim) -> dict[str, Any]:
    """Return a claim without its reason, which another run may have written."""
    return claim.model_dump(mode="json", exclude={"reason", "tenant"})


async def _release(handoff_run: HandoffRun, *, resource: str, reason: str) -> dict[str, Any]:
    released = await handoff_run.board.release(resource, reason)
    if released:
        handoff_run.runtime.metrics.claims.labels("released").inc()
    return {"released": released}


def _tool(name: str, about: str, arguments: type[BaseModel], run: Any, *, takes_call: bool, timeout: float) -> Tool:
    return Tool(
        name=name,
        description=about,
        risk=Risk.LOW,
        effect=Effect.READ,
        timeout=timeout,
        arguments=arguments,
        result=TypeAdapter(dict[str, Any]),
        run=run,
        takes_call=takes_call,
        local=False,
        destinations=(),
    )


POST = _tool(
    "post_to_board",
    "Share something with the other agents of this run.",
    PostArguments,
    _post,
    takes_call=True,
    timeout=30.0,
)
READ = _tool(
    "read_board",
    "Read what agents of this run have shared; everything, without arguments.",
    ReadArguments,
    _read,
    takes_call=False,
    timeout=30.0,
)
CLAIM = _tool(
    "claim_resource",
    "Claim something outside before you change it, so that no other run does meanwhile.",
    ClaimArguments,
    _claim,
    takes_call=True,
    timeout=90.0,
)
WATCH = _tool("watch_board", "Wait for news on the board.", WatchArguments, _watch, takes_call=False, timeout=90.0)
RELEASE = _tool("release_resource", "End a claim.", ReleaseArguments, _release, takes_call=False, timeout=30.0)

OFFERED = (POST, READ, CLAIM)
"""Tools that models get."""


def board_tools(handoff_run: HandoffRun, tools: Iterable[Tool] = OFFERED) -> list[Tool]:
    """Return the tools for the board of one handoff."""
    return [replace(each, run=partial(each.run, handoff_run)) for each in tools]


def is_board_tool(tool: Tool | None) -> bool:
    """Return True for one of these tools, rather than an agent's own of the same name."""
    return tool is not None and tool.arguments in (each.arguments for each in (*OFFERED, WATCH, RELEASE))


def marked(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> str | None:
    """Return the origin of an answer: the board, if it has content of entries; else none."""
    if not result.get("entries"):
        return None
    return named("board", f"{arguments.get('kind') or 'all'}/{arguments.get('key') or 'all'}")


def taint_in(answer: str) -> Iterable[str]:
    """Yield the origins of everything that the authors of the entries in an answer had read."""
    for entry in json.loads(answer).get("result", {}).get("entries", []):
        yield entry["origin"]
        yield from entry["taint"]
