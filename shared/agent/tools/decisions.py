"""Decisions of people about a call that the gate asked about: other arguments instead of the model's, or no call."""

import json
from typing import Any

from schemas.error import OUTCOME_UNKNOWN, REFUSED_BY_PERSON, ErrorInfo
from schemas.settlement import Settlement
from shared.agent.actions import ParsedToolCall
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools.toolbox import Toolbox
from shared.blackboard.journal import EDITED
from shared.llm import ToolRequest
from shared.tools import WITHOUT_IT

CHANGED = "changed_by_a_person"
"""Field of an answer, next to its result: the arguments that a person changed."""

LONGEST_VALUE = 10_000
"""Characters of a changed argument that the model is shown; it wrote the others itself."""


async def with_edit(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> ParsedToolCall:
    """Return the call with the arguments that a person has put in place of the model's, if one did.

    They are recorded, as a later decision about the call does not repeat them. They hold for this tool at this place
    only: their digest covers both.
    """
    journal, name = handoff_run.journal, call.place + EDITED
    settled = handoff_run.handoff.settled.get(call.place)
    if settled is None or settled.arguments is None or settled.asked != "permission":
        return (_edited(handoff_run, toolbox, call, journal[name]) if name in journal else None) or call
    entry = {"arguments": settled.arguments, "digest": settled.digest, "by": settled.by or "a person"}
    edited = _edited(handoff_run, toolbox, call, entry)
    if edited is not None and (name not in journal or journal[name] != entry):
        await journal.write(name, entry, of={"kind": "edit", "digest": settled.digest})
    return edited or call


def _edited(
    handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall, entry: dict[str, Any]
) -> ParsedToolCall | None:
    if call.tool is None:
        return None
    request = ToolRequest(id=call.request.id, name=call.request.name, arguments=entry["arguments"])
    edited = toolbox.parse(call.place, request)
    if handoff_run.authorizer.digest(edited) != entry["digest"]:
        return None
    return edited._replace(edited_by=entry["by"], instead_of=call.request.arguments)


def with_note(call: ParsedToolCall, answer: str) -> str:
    """Return the answer with a note of the arguments that a person changed, if one did."""
    if call.edited_by is None:
        return answer
    wanted = _object(call.instead_of)
    changed = {name: _shown(value) for name, value in call.arguments.items() if wanted.get(name, ...) != value}
    note = {
        "note": "A person changed this call: these arguments were used in place of yours.",
        "arguments": changed,
        "left_out": [name for name in wanted if name not in call.arguments],
    }
    return json.dumps(json.loads(answer) | {CHANGED: note}, ensure_ascii=False)


def refusal(settled: Settlement | None) -> ErrorInfo | None:
    """Return the answer to a call that a person decided not to have made; None if it may be made."""
    if settled is None or settled.refused is None or settled.asked != "permission":
        return None
    if settled.refused == "respond":
        message, action = settled.answer, "continue with this answer of a person, who was asked about the call"
    else:
        message = f"A person skipped this call: it was not made. {settled.answer}".strip()
        action = WITHOUT_IT
    return ErrorInfo(code=REFUSED_BY_PERSON, message=message, suggested_action=action)


def resolution(settled: Settlement) -> str:
    """Return the answer for a call of unknown outcome, as the person who was asked has decided."""
    if settled.refused != "skip":
        return json.dumps({"settled_by_a_person": settled.answer}, ensure_ascii=False)
    message = f"It is not known whether this call was made, and a person skipped the question. {settled.answer}"
    error = ErrorInfo(code=OUTCOME_UNKNOWN, message=message.strip(), suggested_action="do not repeat it, and say so")
    return json.dumps({"error": error.model_dump(mode="json")}, ensure_ascii=False)


def _object(arguments: str) -> dict[str, Any]:
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _shown(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"
