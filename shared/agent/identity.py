"""Identity of journal entries: an entry is used for the call it answers only, whatever version of the agent reads it.

A handler of another version may make other calls at the same places. An entry that answers another call raises
`Diverged`; entries without an identity are from versions that wrote none, and are taken as they are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.budget import Usage
from schemas.step import Handoff
from shared.agent.tools.authorizer import Gate
from shared.agent.tools.calls import Call
from shared.agent.tools.effects import Effects, from_record
from shared.authorization import sameness_of
from shared.blackboard import Journal
from shared.blackboard.journal import ANSWER, INTENT, LOST, REFUSED
from shared.blackboard.ledger import Amounts
from shared.errors import NeedsHuman
from shared.llm import ToolRequest

_LONGEST_TOLD = 300
_MOST_TOLD = 20
_COMPARED = {"kind", "name", "digest", "source"}

Identity = dict[str, Any]


class Diverged(Exception):
    """The journal has the answer to another call at the place of this one."""

    def __init__(self, place: str, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        super().__init__(f"at {place} {told(recorded)} is recorded, and {told(wanted)} is wanted")


def of_tool_call(request: ToolRequest, call: Call, name: str, effects: Effects, answer: str | None = None) -> Identity:
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


def check(journal: Journal, place: str, wanted: Identity) -> None:
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


async def begin_again(journal: Journal, gate: Gate, diverged: Diverged) -> None:
    """Take back what is recorded of the work if nothing outside the run was changed by it, and keep what it cost.

    Raises NeedsHuman when something was changed, or may have been.
    """
    entries = {name: entry for name, entry in journal.entries().items() if _is_recorded(name, entry)}
    if any(_may_have_acted(journal, name) for name in entries):
        raise _question(gate.handoff, gate.effects, diverged)
    for name, entry in entries.items():
        await _keep_cost(journal, name, entry)
        await journal.write(name, None)
    gate.begin_again()


def _is_recorded(name: str, entry: Any) -> bool:
    return entry is not None and not name.startswith(ANSWER) and LOST not in name


def _may_have_acted(journal: Journal, name: str) -> bool:
    """True for calls that act outside, and for entries of versions that did not say what they were about."""
    about = journal.about(name)
    if about is None:
        return name.endswith(INTENT) or ("/call-" in f"/{name}" and not name.endswith(REFUSED))
    return "acting" in about and not name.endswith(REFUSED)


async def _keep_cost(journal: Journal, name: str, entry: Any) -> None:
    """What was spent for an entry that is taken back stays spent: under its attempt, which the ledger has as well."""
    about = entry if isinstance(entry, dict) else journal.about(name) or {}
    match entry:
        case {"reply": {"usage": usage}, "try": int()}:
            cost = Amounts.of(Usage.model_validate(usage, extra="ignore"))
        case str() if not name.endswith(REFUSED):
            cost = Amounts(tool_calls=1)
        case _:
            return
    attempt = about.get("attempt") or f"again-{journal.epoch}"
    await journal.write(f"{name}{LOST}{attempt}", {"try": about.get("try", 0), "lost": list(cost)})


def _question(handoff: Handoff, effects: Effects, diverged: Diverged) -> NeedsHuman:
    made = "; ".join(f"{each.tool} {each.arguments[:100]}: {each.outcome}" for each in effects.made[:_MOST_TOLD])
    return NeedsHuman(
        f"{handoff.agent} works in another way than the version that began this step: {diverged}. "
        f"It has made calls that act outside: {made or 'not known which'}",
        options=(
            "approve: begin the step again; what was made is answered from the record, similar calls are asked about",
            "reject: plan anew, with a reason; what was made stays made",
        ),
    )
