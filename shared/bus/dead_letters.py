"""Where records go that nobody can work on: the dead-letter topic, with their bytes and the reason."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from schemas.dead import DeadLetterHandled
from schemas.envelope import HEADER
from schemas.message import Instant, Part
from shared.bus.record import header_map
from shared.errors import WaggleError

SUFFIX = ".dlt"

CAUSES = "waggle-causes"
"""Header of a record that is tried again: a JSON list of why it was, oldest first."""

REDRIVEN_FROM = "redriven-from"
REDRIVEN_BY = "redriven-by"
"""Headers of a record that was put back: the dead letter it was, and who put it back."""


class DeadLetter(Part):
    """A record that nobody could work on, and what was done with it since."""

    name: str
    """`<dead-letter topic>/<partition>/<offset>`, the topic without the prefix."""
    topic: str
    """Where the record was, without the prefix."""
    partition: int
    offset: int
    key: bytes
    headers: Sequence[tuple[str, bytes]]
    value: bytes
    error: str
    message: str
    attempts: int
    causes: list[str]
    service: str
    version: str
    at: Instant
    tenant: str | None
    trace_id: str | None
    redriven_from: str | None
    """The dead letter that this record was before, if it was put back and failed again."""
    handled: DeadLetterHandled | None = None


def dead_letter_headers(
    record: Any, error: WaggleError, *, service: str, attempts: int, now: datetime
) -> dict[str, str]:
    """Where the record came from and why it could not be worked on.

    Its own headers are kept byte for byte in `dlt-headers`: a JSON list of `[name, base64]`.
    """
    own = header_map(record.headers)
    original = [[name, base64.b64encode(value or b"").decode()] for name, value in record.headers]
    return {
        "dlt-topic": record.topic,
        "dlt-partition": str(record.partition),
        "dlt-offset": str(record.offset),
        "dlt-key": base64.b64encode(record.key or b"").decode(),
        "dlt-headers": json.dumps(original),
        "dlt-error": error.code,
        "dlt-message": str(error),
        "dlt-attempts": str(attempts),
        "dlt-causes": own.get(CAUSES, b"[]").decode(errors="replace"),
        "dlt-service": service,
        "dlt-version": version("waggle"),
        "dlt-time": now.isoformat(),
        "traceparent": own.get("traceparent", b"").decode(errors="replace"),
    }


def dead_letter_of(record: Any, prefix: str) -> DeadLetter:
    """What a record of a dead-letter topic says. Raises ValueError for one that nobody of us has written."""
    told = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    try:
        headers = [(name, base64.b64decode(value)) for name, value in json.loads(told["dlt-headers"])]
        own = {name: value.decode(errors="replace") for name, value in header_map(headers).items()}
        return DeadLetter(
            name=f"{record.topic.removeprefix(prefix)}/{record.partition}/{record.offset}",
            topic=told["dlt-topic"].removeprefix(prefix),
            partition=int(told["dlt-partition"]),
            offset=int(told["dlt-offset"]),
            key=base64.b64decode(told["dlt-key"]),
            headers=headers,
            value=record.value or b"",
            error=told["dlt-error"],
            message=told["dlt-message"],
            attempts=int(told["dlt-attempts"]),
            causes=json.loads(told.get("dlt-causes") or "[]"),
            service=told["dlt-service"],
            version=told["dlt-version"],
            at=datetime.fromisoformat(told["dlt-time"]),
            tenant=own.get(HEADER["tenant"]) or _tenant_in(record.value),
            trace_id=told["traceparent"].split("-")[1] if told.get("traceparent", "").count("-") == 3 else None,
            redriven_from=own.get(REDRIVEN_FROM),
        )
    except (KeyError, TypeError) as missing:
        raise ValueError(f"no dead letter of this swarm: {missing!r}") from None


def _tenant_in(value: bytes | None) -> str | None:
    """The tenant that the payload names, if it can be read so far."""
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    tenant = found.get("tenant") if isinstance(found, dict) else None
    return tenant if isinstance(tenant, str) else None
