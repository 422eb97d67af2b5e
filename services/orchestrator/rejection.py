"""The result of a task that could not even be read, if it can be told whose it is."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.error import ErrorInfo
from schemas.message import Id, Slug
from schemas.task import Result
from shared.bus import header_map
from shared.runs import run_id_for

_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_ID: TypeAdapter[str] = TypeAdapter(Id)


def rejection_of(record: Any, error: ErrorInfo, now: datetime) -> Result | None:
    """A REJECTED result for the task in `record`; None when it has no readable id in its `ce_id` header."""
    headers = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    task_id, source = _read(_ID, headers.get("ce_id")), headers.get("ce_source", "")
    if task_id is None:
        return None
    payload = _payload(record.value)
    tenant = _read(_SLUG, payload.get("tenant")) or "default"
    key = _read(_ID, payload.get("idempotency_key"))
    return Result(
        run_id=run_id_for(tenant, key and f"rejected:{key}", source, f"rejected:{task_id}"),
        task_id=task_id,
        source=source or None,
        tenant=tenant,
        status="rejected",
        error=error,
        idempotency_key=key,
        started=now,
        finished=now,
    )


def _payload(value: bytes | None) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        payload = json.loads(value or b"")
        return payload if isinstance(payload, dict) else {}
    return {}


def _read(kind: TypeAdapter[str], value: object) -> str | None:
    with suppress(ValidationError):
        return kind.validate_python(value, strict=True)
    return None
