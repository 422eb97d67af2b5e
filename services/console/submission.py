"""The form of a task: its fields as they were written, the task that they make, and what is wrong with each."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.task import Attachment, Shape, Task

LIMITS = ("tokens", "cost_usd", "seconds")
"""Limits of the budget that the form offers."""

_LISTS = ("constraints", "destinations")
_WORDS = ("shape", "agent", "type", "priority", "on_trouble")
_OFFSET = re.compile(r"([zZ]|[+-]\d\d:?\d\d)$")
_ATTACHMENTS: TypeAdapter[list[Attachment]] = TypeAdapter(list[Attachment])


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as a person has written it."""

    fields: Mapping[str, str]
    attachments: Sequence[Attachment] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    """Messages by field; those about no single field under an empty name."""

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def kept(self) -> str:
        """The files that are stored already, for the form to give back."""
        return _ATTACHMENTS.dump_json(list(self.attachments)).decode()

    def key(self, tenant: str | None) -> str:
        """Return the idempotency key: the same form with the same content is the same run."""
        written = {name: value for name, value in self.fields.items() if name not in {"form_token", "kept"}}
        about = json.dumps([written, self.kept, tenant], sort_keys=True)
        return f"console-{hashlib.sha256(about.encode()).hexdigest()[:40]}"

    def task(self) -> Task:
        """Return the task. Raises ValidationError."""
        given: dict[str, Any] = {"objective": self["objective"], "dry_run": self["dry_run"] == "1"}
        given |= {name: self[name] for name in _WORDS if self[name]}
        if self["agent"] and self["shape"] in ("", Shape.AUTO):
            given["shape"] = Shape.SINGLE
        given |= {name: [line.strip() for line in self[name].splitlines() if line.strip()] for name in _LISTS}
        given["budget"] = {name: self[name] for name in LIMITS if self[name]}
        if self["deadline"]:
            given["deadline"] = self["deadline"] + ("" if _OFFSET.search(self["deadline"]) else "Z")
        given["context"] = {"text": self["background"] or None, "attachments": list(self.attachments)}
        return Task.model_validate(given)


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
        found.setdefault(_field(error["loc"]), error["msg"].removeprefix("Value error, "))
    return found


def _field(place: tuple[int | str, ...]) -> str:
    if not place:
        return "agent"  # the only rule about a whole task is that of its shape and agent
    first = str(place[0])
    if first == "budget" and len(place) > 1:
        return str(place[1])
    if first == "context":
        return "background" if "text" in place else "files"
    return first
