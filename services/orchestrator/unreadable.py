"""Ends of unreadable tasks and runs: a task is rejected under the run id that its caller was given."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.approval import CancelRun
from schemas.envelope import Envelope
from schemas.error import ErrorInfo
from schemas.message import Id, Slug
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from services.orchestrator.changeset import SOURCE
from shared.blackboard import UnreadableRun
from shared.bus import Delivery, content_id, header_map
from shared.runs import UNREAD, Decision, Intake, end_unread, run_id_for

_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_ID: TypeAdapter[str] = TypeAdapter(Id)


def unread_intake(record: Any, error: ErrorInfo) -> Intake | None:
    """Return a rejected intake for the task in `record`; None if its `ce_id` header has no readable id."""
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


def stand_in_delivery(record: Any, intake: Intake) -> Delivery:
    """Return the delivery of an unreadable task. It has an id of its own, because the task may be redriven."""
    envelope = Envelope(
        id=content_id("unread", intake.source or "", intake.task_id), source=SOURCE, type=Task.wire_type()
    )
    return Delivery(envelope, intake.task, record.topic, record.partition, record.offset, len(record.value or b""))


def end_unreadable(
    unreadable: UnreadableRun, message: CancelRun | DeadlinePassed | WaitExpired | ResultDue, now: datetime
) -> Decision:
    """Return the end of a run whose record cannot be read."""
    why = f"cancelled by {message.by}: {message.reason}" if isinstance(message, CancelRun) else "its time is up"
    error = ErrorInfo(code=unreadable.code, message=f"{why}; {unreadable}")
    task = Task(objective=UNREAD, tenant=message.tenant, session=_read(_ID, unreadable.session))
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
