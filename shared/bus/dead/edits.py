"""Edits of dead letters: a corrected payload that matches its message's schema and permits nothing new.

| message | an edit may change |
|---|---|
| a task | every field but `tenant`, as long as it permits nothing new (below) |
| a handoff | `objective`, `feedback` |
| an agent's answer | the texts and values of its findings, its reasons, its rationale, the wording of its error |
| anything else | nothing: signed orders and internal records are redriven as they are, or discarded |

In a task, `dry_run`, `agents`, `tools` and `destinations` may only become narrower, and no text may name an address
that the original does not name.

Key, headers and so tenant, source, id and type of the record stay as they are. A token is shown as `***`; left so, it
stays what it was.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic_core import from_json

from schemas import step, synthesis, task
from schemas.dead import MOST_EDITS, FieldEdit
from schemas.message import Message
from schemas.registry import message_class
from shared.bus.dead.letters import DeadLetter
from shared.bus.record import header_map, read
from shared.errors import InvalidMessage, TerminalError

MASKED = "***"
"""Stands for a token in a payload that is shown."""

_SHOWN = 1_000
"""Characters of a value that the record of an edit keeps."""

_OF_HANDOFF = ("objective", "feedback")
EDITABLE: Mapping[type[Message], tuple[str, ...]] = {
    task.Task: tuple(sorted({*task.Task.model_fields} - {"tenant", "requested_by"})),
    step.MakePlan: _OF_HANDOFF,
    step.DoStep: _OF_HANDOFF,
    synthesis.WriteAnswer: _OF_HANDOFF,
    step.ReviewResult: _OF_HANDOFF,
    step.PlanProposed: ("plan.rationale",),
    step.StepCompleted: ("output.answer", "output.facts", "output.data", "output.caveats"),
    synthesis.AnswerWritten: ("synthesis.answer", "synthesis.facts", "synthesis.caveats"),
    step.ResultReviewed: ("reasons",),
    step.HandoffFailed: ("error.message", "error.suggested_action"),
}
"""Fields that an edit may change, by message. Messages without an entry are not edited."""

_ADDRESS = re.compile(r"//|\\\\|^[a-z][a-z0-9+.-]*:|@|[^\W_][\w-]*\.[^\W\d_]{2,}", re.IGNORECASE)
"""A word that may be a destination: a scheme, two slashes, a mail address, or a name with a dot in it."""

Change: TypeAlias = tuple[str, Any, Any]
"""Path, value before, value after; `_ABSENT` where there is none."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Edit:
    """A payload that may replace that of a dead letter."""

    value: bytes
    fields: list[FieldEdit]
    """Changed fields, at most MOST_EDITS."""
    more: int
    """Changed fields that are not listed."""
    original: str
    """SHA-256 of the original payload."""


def editable_fields(letter: DeadLetter) -> tuple[str, ...]:
    """Return the fields that an edit may change. Raises TerminalError `not_editable` if there are none."""
    try:
        fields = EDITABLE.get(message_class(letter.header("ce_type") or ""), ())
    except ValueError:
        raise _not_editable(letter, "the type in its header `ce_type` is unknown, and headers are not edited") from None
    if not fields:
        raise _not_editable(letter, f"a record of type {letter.header('ce_type')} is redriven as it is, or discarded")
    _original_of(letter)
    return fields


def edit_of(letter: DeadLetter, given: Mapping[str, Any]) -> Edit:
    """Return the edit. Raises TerminalError `not_editable`, `protected_field`, `unchanged` or `invalid_edit`."""
    allowed, original = editable_fields(letter), _original_of(letter)
    edited = _with_tokens(original, dict(given))
    changes = list(_changes("", original, edited))
    if not changes:
        raise TerminalError("the edit changes nothing; redrive the record as it is", code="unchanged")
    value = json.dumps(edited, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")
    try:
        message = read(letter.origin, header_map(letter.headers), value)[1]
    except InvalidMessage as wrong:
        raise TerminalError(str(wrong), code="invalid_edit") from None
    _check_fields(changes, allowed, is_task=isinstance(message, task.Task))
    if isinstance(message, task.Task):
        _check_task(original, edited)
    listed = [_recorded(change) for change in changes[:MOST_EDITS]]
    return Edit(value, listed, len(changes) - len(listed), hashlib.sha256(letter.value).hexdigest())


def _original_of(letter: DeadLetter) -> dict[str, Any]:
    try:
        original = from_json(letter.value)
    except ValueError:
        original = None
    if not isinstance(original, dict):
        raise _not_editable(letter, "its payload is not a JSON object, so it is unknown what it permits")
    return original


def _with_tokens(original: Any, edited: Any) -> Any:
    """Return the edited value with the tokens that were masked when it was shown."""
    if isinstance(edited, dict) and isinstance(original, dict):
        kept = {name: _with_tokens(original.get(name), each) for name, each in edited.items()}
        if kept.get("token") == MASKED and "token" in original:
            kept["token"] = original["token"]
        return kept
    if isinstance(edited, list) and isinstance(original, list) and len(edited) == len(original):
        return [_with_tokens(before, after) for before, after in zip(original, edited, strict=True)]
    return edited


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    """Yield the innermost values that differ. Lists of different lengths differ as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else name
            yield from _changes(inner, before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, pair in enumerate(zip(before, after, strict=True)):
            yield from _changes(f"{path}[{place}]", *pair)
    elif type(before) is not type(after) or before != after:
        yield path, before, after


def _check_fields(changes: list[Change], allowed: tuple[str, ...], *, is_task: bool) -> None:
    """Raise TerminalError `protected_field` if a field was changed that must stay. A task may lose unknown fields."""
    for path, _, after in changes:
        lost = is_task and after is _ABSENT and path.split(".")[0] not in task.Task.model_fields
        if not lost and not any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in allowed):
            raise _protected(path, f"an edit may change only: {', '.join(allowed)}")


def _check_task(original: Mapping[str, Any], edited: Mapping[str, Any]) -> None:
    """Raise TerminalError `protected_field` if the edited task permits more than the original one."""
    if original.get("dry_run") not in (None, False) and edited.get("dry_run") is not True:
        raise _protected("dry_run", "the original is a dry run, so the edited task must be one")
    for field in ("agents", "tools"):
        before, after = original.get(field), edited.get(field)
        if before is not None and (after is None or not set(_texts(after)) <= set(_texts(before))):
            raise _protected(field, "it may be narrowed, not widened")
    if not set(_texts(edited.get("destinations"))) <= set(_texts(original.get("destinations"))):
        raise _protected("destinations", "it may be narrowed, not widened")
    new = _addresses(edited) - _addresses(original)
    if new:
        raise _protected("the text", f"it names an address that the original does not name: {min(new)[:200]}")


def _addresses(value: Any) -> set[str]:
    words = (word.strip(".,;:!?()[]<>\"'`").casefold() for text in _texts(value) for word in text.split())
    return {word for word in words if _ADDRESS.search(word)}


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value, without the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _recorded(change: Change) -> FieldEdit:
    path, before, after = change
    return FieldEdit(path=path[:500], before=_written(before), after=_written(after))


def _written(value: Any) -> str | None:
    return None if value is _ABSENT else json.dumps(value, ensure_ascii=False)[:_SHOWN]


def _protected(path: str, why: str) -> TerminalError:
    return TerminalError(f"`{path[:200]}` must stay as it is: {why}", code="protected_field")


def _not_editable(letter: DeadLetter, why: str) -> TerminalError:
    return TerminalError(f"{letter.name} cannot be edited: {why}", code="not_editable")
