"""Identity of journal entries: an entry is used only for the call it answers, whichever version of the agent reads it.

A handler of another version may make other calls at the same places. An entry that answers another call raises
`Diverged`. Entries without an identity come from versions that recorded none and are accepted.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.plan import Effect
from shared.agent.actions import ParsedToolCall, from_record
from shared.agent.handoff_run import HandoffRun
from shared.authorization import sameness_of
from shared.blackboard import Journal
from shared.blackboard.journal import INTENT, REFUSED

_LONGEST_DESCRIPTION = 300
_COMPARED = {"kind", "name", "digest", "source"}

Identity = dict[str, Any]


class Diverged(Exception):
    """The journal has the answer to another call at the place of this one."""

    def __init__(self, place: str, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        super().__init__(f"at {place} the journal has {_describe(recorded)}, the agent requests {_describe(wanted)}")


def identity_of(handoff_run: HandoffRun, call: ParsedToolCall, answer: str | None = None) -> Identity:
    """Return the identity of a tool call, with the try and the reserved attempt that it counts in.

    A call that acts outside the run includes its record, unless the answer comes from an earlier record.
    """
    request, tool, effects = call.request, call.tool, handoff_run.authorizer.effects
    identity: Identity = {"kind": "tool_call", "name": request.name, "digest": digest_in_journal(call)}
    if tool is not None:
        identity["source"] = tool.source or ""
    acting = None if answer is not None and from_record(answer) else effects.record_of(call)
    if acting:
        identity["acting"] = acting.model_dump(mode="json")
    if price := price_of(handoff_run, call, answer):
        identity["price"] = price
    identity["try"] = handoff_run.handoff.tries
    if attempt := handoff_run.budget.attempt_at(call.place):
        identity["attempt"] = attempt
    return identity


def digest_in_journal(call: ParsedToolCall) -> str:
    """Return the digest by which the journal knows the call: equal for equal arguments, at any place."""
    arguments = {"": call.request.arguments} if call.tool is None or not call.arguments else call.arguments
    return sameness_of(call.request.name, arguments)


def price_of(handoff_run: HandoffRun, call: ParsedToolCall, answer: str | None) -> float:
    """Return the price of a call in US dollars; 0 for one that is only planned, or answered from an earlier record."""
    if call.tool is None or answer is None or from_record(answer):
        return 0.0
    planned = handoff_run.handoff.dry_run and call.tool.effect is not Effect.READ
    return 0.0 if planned else call.tool.price


def of_model_call(agent: str, role: str, objective: str, result: str) -> Identity:
    """Return the identity of a turn: its objective, not its messages, since a retry finds other files and records."""
    digest = hashlib.sha256(json.dumps([agent, objective, result]).encode()).hexdigest()
    return {"kind": "model_call", "role": role, "digest": digest}


def check_identity(journal: Journal, place: str, wanted: Identity) -> None:
    """Raise Diverged when the journal has another call at this place."""
    recorded = next(_recorded_at(journal, place), None)
    compared = _COMPARED & wanted.keys() & (recorded or {}).keys()
    if recorded is not None and any(recorded[each] != wanted[each] for each in compared):
        raise Diverged(place, recorded, wanted)


def _recorded_at(journal: Journal, place: str) -> Iterator[Identity]:
    """Yield the identities recorded at a place; for an older intent, the one its content implies."""
    for name in (place, place + REFUSED, place + INTENT):
        if name in journal and (about := journal.about(name)) is not None:
            yield about
    if place + INTENT in journal:
        intent = journal[place + INTENT]
        arguments = _parse(intent["arguments"])
        about = {"kind": "tool_call", "name": intent["tool"]}
        yield about | ({"digest": sameness_of(intent["tool"], arguments)} if arguments else {})


def _parse(arguments: str) -> dict[str, Any]:
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _describe(identity: Mapping[str, Any]) -> str:
    """Return an identity for human readers."""
    acting = identity.get("acting") or {}
    subject = f"{identity.get('name') or identity.get('role')} {acting.get('arguments', '')}".strip()
    return f"the {identity['kind'].replace('_', ' ')} {subject}"[:_LONGEST_DESCRIPTION]
