"""The intake of a task that could not be read or decided: its run is rejected, under the id its caller was given."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.approval import CancelRun
from schemas.error import ErrorInfo
from schemas.message import Id, Slug
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from shared.blackboard import UnreadableRun
from shared.bus import header_map
from shared.runs import UNREAD, Decision, Intake, end_unread, run_id_for

_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_ID: TypeAdapter[str] = TypeAdapter(Id)


def unread_intake(record: Any, error: ErrorInfo) -> Intake | None:
    """A rejected intake for the task in `record`; None when it has no readable id in its `ce_id` header."""
    headers = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    task_id, source = _read(_ID, headers.get("ce_id")), headers.get("ce_source", "")
    if task_id is None:
        return None
    payload = _payload(record.value)
    tenant = _read(_SLUG, payload.get("tenant")) or "default"
    key, session = _read(_ID, payload.get("idempotency_key")), _read(_ID, payload.get("session"))
    task = Task(objective=UNREAD, tenant=tenant, idempotency_key=key, session=session)
    run_id = run_id_for(tenant, key, source, task_id)
    return Intake(run_id, task_id, task, refused=error, source=source, unread=True)


def ended(
    unreadable: UnreadableRun, message: CancelRun | DeadlinePassed | WaitExpired | ResultDue, now: datetime
) -> Decision:
    """The end of a run whose record cannot be read."""
    why = f"cancelled by {message.by}: {message.reason}" if isinstance(message, CancelRun) else "its time is up"
    error = ErrorInfo(code=unreadable.code, message=f"{why}; {unreadable}")
    task = Task(objective=UNREAD, tenant=message.tenant)
    stand_in = Intake(unreadable.run_id, unreadable.task_id, task, unread=True, resumes=unreadable.resumes)
    return end_unread(stand_in, now, error)


def _payload(value: bytes | None) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        payload = json.loads(value or b"")
        return payload if isinstance(payload, dict) else {}
    return {}


def _read(kind: TypeAdapter[str], value: object) -> str | None:
    with suppress(ValidationError):
        return kind.validate_python(value, strict=True)
    return None
