"""The form of a task: its fields as they were written, the task that they make, and what is wrong with each."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.budget import Budget
from schemas.faults import in_words
from schemas.task import Attachment, Shape, Task
from services.console.dead_letters import escaped
from services.console.visible import visible

_LINES = ("constraints", "destinations")
_NAMES = ("agents", "tools")
_INSIDE: Mapping[str, tuple[str, str]] = {
    "background": ("context", "text"),
    "data": ("context", "data"),
    **{limit: ("budget", limit) for limit in Budget.model_fields},
}
"""Fields of the form that are parts of a field of the task."""

_WORDS = ("objective", "type", "shape", "agent", "priority", "session", "on_trouble")
_FIELDS = (*_WORDS, *_LINES, *_NAMES, *_INSIDE, "dry_run", "deadline")
_OFFSET = re.compile(r"([zZ]|[+-]\d\d:?\d\d)$")
_ATTACHMENTS: TypeAdapter[list[Attachment]] = TypeAdapter(list[Attachment])


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as a person has written it."""

    fields: Mapping[str, str]
    attachments: Sequence[Attachment] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """Messages by field; those about no single field under an empty name."""

    origin: Task | None = None
    """The task to submit again: a field that is left as it was filled in is sent as that task has it."""

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def kept(self) -> str:
        """The files that are stored already, for the form to give back."""
        return escaped(_ATTACHMENTS.dump_json(list(self.attachments)).decode())

    def key(self, tenant: str | None) -> str:
        """Return the idempotency key: the same form with the same content is the same run."""
        written = {name: value for name, value in self.fields.items() if name not in {"form_token", "kept"}}
        about = json.dumps([written, self.kept, tenant], sort_keys=True)
        return f"console-{hashlib.sha256(about.encode()).hexdigest()[:40]}"

    def task(self) -> Task:
        """Return the task. Raises ValidationError."""
        original = _parts(self.origin) if self.origin else {}
        filled = fields_of(self.origin) if self.origin else {}
        parts = {name: original[name] for name in original if _same(self[name], filled.get(name, ""))}
        parts |= {name: _value(name, self[name]) for name in _FIELDS if name not in parts and self[name]}
        if parts.get("agent") and parts.get("shape", Shape.AUTO) == Shape.AUTO:
            parts["shape"] = Shape.SINGLE
        given: dict[str, Any] = {"objective": "", "context": {"attachments": list(self.attachments)}, "budget": {}}
        for name, value in parts.items():
            outer, inner = _INSIDE.get(name, ("", ""))
            (given[outer] if outer else given)[inner or name] = value
        return Task.model_validate(given)


def fields_of(task: Task) -> dict[str, str]:
    """Return the form filled with a task; without its deadline once that has passed."""
    return {name: _text(name, value) for name, value in _parts(task).items()} | {"tenant": task.tenant}


def _parts(task: Task) -> dict[str, Any]:
    """Return the parts of a task by the field of the form, as they were set."""
    given = task.model_dump(exclude_unset=True)
    found = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    for name, (outer, inner) in _INSIDE.items():
        if given.get(outer, {}).get(inner) not in (None, {}):
            found[name] = given[outer][inner]
    if task.deadline is not None and task.deadline <= datetime.now(UTC):
        del found["deadline"]
    return found


def _text(name: str, value: Any) -> str:
    """Return the value of a part as the form shows it."""
    if name in _LINES or name in _NAMES:
        return ("\n" if name in _LINES else ", ").join(value)
    if name == "data":
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, bool):
        return "1" if value else ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> Any:
    """Return a part of the task as the form has it; what cannot be read stays as it is, for the schema to refuse."""
    if name in _LINES:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if name in _NAMES:
        return re.split(r"[\s,]+", text.strip(" ,\n"))
    if name == "deadline":
        return text + ("" if _OFFSET.search(text) else "Z")
    if name == "dry_run":
        return text == "1"
    return _json(text) if name == "data" else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _same(given: str, filled: str) -> bool:
    """Return True if a field came back as the page showed it; browsers write the ends of lines in their own way."""
    return visible(filled).replace("\r", "\n").strip() == given.replace("\r\n", "\n").strip()


def attachments_in(text: str) -> list[Attachment]:
    """Return the files that a form has kept; none if it was tampered with."""
    try:
        return _ATTACHMENTS.validate_json(text or "[]")[:100]
    except ValidationError:
        return []


def problems_of(wrong: ValidationError) -> dict[str, str]:
    """Return the first message of each field of the form."""
    found = dict[str, str]()
    for error in wrong.errors(include_url=False):
        found.setdefault(_field(error["loc"]), in_words(error))
    return found


def _field(place: tuple[int | str, ...]) -> str:
    if not place:
        return "agent"  # the only rule about a whole task is that of its shape and agent
    first = str(place[0])
    if first == "budget" and len(place) > 1:
        return str(place[1])
    if first == "context":
        return next((name for name, (_, inner) in _INSIDE.items() if len(place) > 1 and place[1] == inner), "files")
    return first
