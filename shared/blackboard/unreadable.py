"""Error for a run whose record on the blackboard this release cannot read. It is reported; an operator can end it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import AwareDatetime, JsonValue, TypeAdapter

from schemas.event import State
from shared.errors import TerminalError

T = TypeVar("T")

_STATE, _TEXT, _NUMBER, _FLAG = TypeAdapter(State), TypeAdapter(str), TypeAdapter(int), TypeAdapter(bool)
_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_MOMENT: TypeAdapter[AwareDatetime] = TypeAdapter(AwareDatetime)

_LONGEST = 500
"""Longest reason that is reported, in characters: a validation error may quote the whole record."""


class UnreadableRun(TerminalError):
    """A run that cannot be read, with the fields that can: enough to list it and to end it."""

    def __init__(self, run_id: str, fields: Mapping[str, str], generation: str, why: Exception) -> None:
        reason = " ".join(str(why).split())[:_LONGEST]
        super().__init__(f"the record of the run {run_id} cannot be read: {reason}", code="unreadable_run")
        self.run_id = run_id
        self.generation = generation
        self.names = tuple(fields)
        """Field names of its record."""
        self.version = int(fields.get("version", "0"))
        self.state = _field(_STATE, fields, "state", State.INTAKE)
        self.settling = _field(_FLAG, fields, "settling", otherwise=False)
        self.task_id = _field(_TEXT, fields, "task_id", run_id)
        self.resumes = _field(_NUMBER, fields, "resumes", 0)
        self.session = _session_in(fields)
        self.started = _field(_MOMENT, fields, "started", datetime.fromtimestamp(0, UTC))


def _session_in(fields: Mapping[str, str]) -> str | None:
    """Return the session of its task, whose conversation then shows its end."""
    found = _field(_OBJECT, fields, "task", dict[str, JsonValue]()).get("session")
    return found if isinstance(found, str) else None


def _field(kind: TypeAdapter[T], fields: Mapping[str, str], name: str, otherwise: T) -> T:
    with suppress(ValueError, KeyError):
        return kind.validate_json(fields[name])
    return otherwise
