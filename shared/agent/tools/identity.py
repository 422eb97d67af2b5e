"""Identity of journal entries: an entry is used for the call it answers only, whatever version of the agent reads it.

A handler of another version may make other calls at the same places. An entry that answers another call raises
`Diverged`; entries without an identity are from versions that wrote none, and are taken as they are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.agent.actions import Effects, ParsedToolCall, from_record
from shared.authorization import sameness_of
from shared.blackboard import Journal
from shared.blackboard.journal import INTENT, REFUSED
from shared.llm import ToolRequest

_LONGEST_TOLD = 300
_COMPARED = {"kind", "name", "digest", "source"}

Identity = dict[str, Any]


class Diverged(Exception):
    """The journal has the answer to another call at the place of this one."""

    def __init__(self, place: str, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        super().__init__(f"at {place} {told(recorded)} is recorded, and {told(wanted)} is wanted")


def of_tool_call(
    request: ToolRequest, call: ParsedToolCall, name: str, effects: Effects, answer: str | None = None
) -> Identity:
    """The identity of a tool call, with its record if it acts outside the run, unless the answer is from a record."""
    arguments = {"": request.arguments} if call.tool is None or not call.arguments else call.arguments
    about: Identity = {"kind": "tool_call", "name": request.name, "digest": sameness_of(request.name, arguments)}
    if call.tool is not None:
        about["source"] = call.tool.source or ""
    acting = None if answer is not None and from_record(answer) else effects.record(name, call)
    return about | ({"acting": acting.model_dump(mode="json")} if acting else {})


def of_model_call(agent: str, role: str, objective: str, result: str) -> Identity:
    """The identity of a turn: what the model was to do, not how it was told; a retry finds other files and records."""
    digest = hashlib.sha256(json.dumps([agent, objective, result]).encode()).hexdigest()
    return {"kind": "model_call", "role": role, "digest": digest}


def check_identity(journal: Journal, place: str, wanted: Identity) -> None:
    """Raise Diverged when the journal has something else at this place."""
    recorded = next(_recorded(journal, place), None)
    compared = _COMPARED & wanted.keys() & (recorded or {}).keys()
    if recorded is not None and any(recorded[each] != wanted[each] for each in compared):
        raise Diverged(place, recorded, wanted)


def _recorded(journal: Journal, place: str) -> Iterator[Identity]:
    """What the entries of a place are about: as they say, or as an older intent shows."""
    for name in (place, place + REFUSED, place + INTENT):
        if name in journal and (about := journal.about(name)) is not None:
            yield about
    if place + INTENT in journal:
        intent = journal[place + INTENT]
        read = _read(intent["arguments"])
        about = {"kind": "tool_call", "name": intent["tool"]}
        yield about | ({"digest": sameness_of(intent["tool"], read)} if read else {})


def _read(arguments: str) -> dict[str, Any]:
    try:
        read = json.loads(arguments)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def told(about: Mapping[str, Any]) -> str:
    """An identity for people."""
    acting = about.get("acting") or {}
    what = f"{about.get('name') or about.get('role')} {acting.get('arguments', '')}".strip()
    return f"the {about['kind'].replace('_', ' ')} {what}"[:_LONGEST_TOLD]
