"""Rows of an entry of a journal: a model call with the calls it asks for, a tool call, an intent, a post. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from schemas.log import JournalWritten
from shared.audit import Draft
from shared.blackboard.board import WORK
from shared.blackboard.journal import ASKED, EDITED, INTENT, LOST, REFUSED

MODEL_CALL, TOOL_REQUEST, TOOL_CALL, TOOL_INTENT, BOARD, ENTRY = (
    "model_call",
    "tool_request",
    "tool_call",
    "tool_intent",
    "board",
    "entry",
)

_CONTENTS = ("added", "sent", "reply", "heard", "tools", "result", "message", "covers", "digest")
"""Parts of a model call's entry. The whole prompt is made of them and of the entries of earlier turns."""

Values = dict[str, Any]


def drafts_of(entry: JournalWritten, at: datetime, agent: str) -> Iterator[Draft]:
    """Yield the rows of an entry, written at this time by this agent."""
    run, step = (*entry.work_id.split("/"), "")[:2]
    about: Values = {"tenant": entry.tenant, "at": at, "run_id": run, "step_id": step, "agent": agent, "by": agent}
    about["ref"] = f"{entry.work_id}/{entry.name}"
    for values in _rows(entry):
        values["facts"] = {"epoch": entry.epoch} | values.get("facts", {})
        yield Draft(**about | values)


def _rows(entry: JournalWritten) -> Iterator[Values]:
    of = entry.of if isinstance(entry.of, dict) else {}
    if entry.work_id.endswith(f"/{WORK}"):
        yield {
            "kind": BOARD,
            "name": entry.name.partition(":")[0],
            "contents": {"name": entry.name, "entry": entry.entry},
        }
    elif LOST in entry.name:
        yield _lost(entry)
    elif isinstance(entry.entry, dict) and isinstance(reply := entry.entry.get("reply"), dict):
        yield _model_call(entry.entry, of)
        yield from _requests(entry, reply)
    elif of.get("kind") == TOOL_CALL:
        yield _tool_call(entry, of)
    else:
        yield _other(entry, of)


def _model_call(entry: Mapping[str, Any], of: Mapping[str, Any]) -> Values:
    reply, sent = entry["reply"], entry.get("sent") or {}
    usage = reply.get("usage") or {}
    facts = {
        "role": of.get("role"),
        "request": of.get("digest"),
        "prompt_tokens_sent": sent.get("tokens"),
        "finish": reply.get("finish_reason"),
        "endpoint": reply.get("endpoint"),
        "instead_of": reply.get("instead_of"),
        "estimated": usage.get("estimated"),
        "confidence": _confidence(reply.get("content")),
        "versions": entry.get("versions"),
        "try": entry.get("try"),
    }
    return {
        "kind": MODEL_CALL,
        "name": str(reply.get("model", "")),
        "outcome": "answered",
        "tokens_in": usage.get("prompt_tokens", 0),
        "tokens_out": usage.get("completion_tokens", 0),
        "cost": usage.get("cost_usd", 0.0),
        "seconds": reply.get("seconds", 0.0),
        "facts": facts,
        "contents": {name: entry[name] for name in _CONTENTS if name in entry},
    }


def _requests(entry: JournalWritten, reply: Mapping[str, Any]) -> Iterator[Values]:
    """Yield the calls that a reply asks for; their places are those of the calls that follow."""
    for number, asked in enumerate(reply.get("tool_requests") or (), 1):
        place = f"{entry.work_id}/{entry.name}/call-{number}"
        contents = {"arguments": asked.get("arguments", "")}
        yield {"kind": TOOL_REQUEST, "name": str(asked.get("name", "")), "ref": place, "contents": contents}


def _tool_call(entry: JournalWritten, of: Mapping[str, Any]) -> Values:
    acting = of.get("acting") or {}
    contents: Values = {name: acting[name] for name in ("arguments", "targets", "moves") if acting.get(name)}
    facts = {name: of.get(name) for name in ("digest", "source", "try")} | {"effect": acting.get("effect")}
    kind, outcome = TOOL_CALL, str(acting.get("outcome") or "")
    if entry.name.endswith(INTENT):
        kind, outcome = TOOL_INTENT, "revoked" if entry.entry is None else "intended"
    elif entry.name.endswith(REFUSED):
        outcome, facts["rule"] = "refused", acting.get("rule")
    else:
        error = _error(entry.entry)
        outcome, facts["error"] = outcome or ("failed" if error else "made"), error
    place = f"{entry.work_id}/{entry.name}".removesuffix(INTENT).removesuffix(REFUSED)
    values = {"kind": kind, "name": str(of.get("name", "")), "outcome": outcome, "ref": place, "facts": facts}
    return values | {"cost": float(of.get("price") or 0.0), "contents": contents | {"result": entry.entry}}


def _lost(entry: JournalWritten) -> Values:
    """Return the row of an attempt without a reply or a result, which counts with what was reserved for it."""
    name = entry.name.partition(LOST)[0]
    kind = TOOL_CALL if "/call-" in f"/{name}" else MODEL_CALL
    return {"kind": kind, "outcome": "lost", "contents": {"entry": entry.entry}}


def _other(entry: JournalWritten, of: Mapping[str, Any]) -> Values:
    kinds = {EDITED: "edit", ASKED: "question"}
    name = next((each for suffix, each in kinds.items() if entry.name.endswith(suffix)), of.get("kind") or "")
    outcome = "revoked" if entry.entry is None else ""
    return {
        "kind": ENTRY,
        "name": str(name),
        "outcome": outcome,
        "contents": {"name": entry.name, "entry": entry.entry},
    }


def _error(answer: Any) -> str | None:
    """Return the code of the error that a tool answered with."""
    found = _json(answer)
    error = found.get("error") if isinstance(found, dict) else None
    return str(error.get("code", "error")) if isinstance(error, dict) else None


def _confidence(content: Any) -> float | None:
    """Return the confidence that a model states in its result."""
    found = _json(content)
    stated = found.get("confidence") if isinstance(found, dict) else None
    return stated if isinstance(stated, (int, float)) and 0 <= stated <= 1 else None


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
