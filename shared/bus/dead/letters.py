"""Dead letters as read from their topic: the original record, the failure, and the headers to redrive it with."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from schemas.envelope import HEADER
from shared.bus.dead_letter import CAUSES, SUFFIX
from shared.bus.record import header_map, time_of
from shared.errors import TerminalError

_COUNTED = {HEADER["attempt"], CAUSES}
"""Headers of a retried record that count its attempts."""

REDRIVEN_FROM = "redriven-from"
"""Header of a redriven record: name of its dead letter."""

REDRIVEN_BY = "redriven-by"
"""Header of a redriven record: the operator."""

EDITED_FROM = "redriven-edited"
"""Header of a redriven record whose payload was edited: SHA-256 of the original payload."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of a dead-letter topic. Fields missing or unreadable in its headers are empty."""

    topic: str
    """The dead-letter topic, without the prefix."""
    partition: int
    offset: int
    at: datetime
    """Kafka's timestamp of the dead letter."""
    key: bytes | None
    value: bytes
    notes: Mapping[str, str]
    """The headers written by `dead_letter_headers`."""
    headers: Sequence[tuple[str, bytes]]
    """The original headers in order, including repeated names."""

    @property
    def name(self) -> str:
        """Name shown to operators: `<topic>.dlt/<partition>/<offset>`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def origin(self) -> str:
        """Original topic, without the prefix."""
        return self.topic.removesuffix(SUFFIX)

    @property
    def came_from(self) -> str | None:
        """The dead letter this record was before it was redriven and failed once more."""
        return self.header(REDRIVEN_FROM)

    @property
    def trace_id(self) -> str | None:
        """Trace id of the original record."""
        parts = self.notes.get("traceparent", "").split("-")
        return parts[1] if len(parts) == 4 else None

    @property
    def run_id(self) -> str | None:
        """Run named by the payload if that is readable JSON, else the envelope's subject."""
        run_id = self._named("run_id")
        return run_id if run_id is not None else self.header("ce_subject")

    @property
    def tenant(self) -> str | None:
        """Tenant named by the payload if that is readable JSON, else by the envelope."""
        tenant = self._named("tenant")
        return tenant if tenant is not None else self.header("ce_tenant")

    @property
    def idempotency_key(self) -> str | None:
        """Idempotency key named by the payload if that is readable JSON."""
        return self._named("idempotency_key")

    def _named(self, field: str) -> str | None:
        try:
            payload = from_json(self.value)
        except ValueError:
            return None
        found = payload.get(field) if isinstance(payload, dict) else None
        return found if isinstance(found, str) else None

    @property
    def causes(self) -> Any:
        """The failures before the last one, if recorded."""
        causes = self.notes.get("dlt-causes")
        try:
            return None if causes is None else from_json(causes)
        except ValueError:
            return causes

    def header(self, name: str) -> str | None:
        """Return an original header as text."""
        found = header_map(self.headers).get(name)
        return None if found is None else found.decode(errors="replace")


def read_dead_letter(record: Any, prefix: str) -> DeadLetter:
    """Read a record of a dead-letter topic; accepts records that Waggle did not write."""
    notes = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    return DeadLetter(
        topic=record.topic.removeprefix(prefix),
        partition=record.partition,
        offset=record.offset,
        at=time_of(record),
        key=record.key,
        value=record.value or b"",
        notes=notes,
        headers=_original(notes.get("dlt-headers", "[]")) or (),
    )


def headers_back(
    letter: DeadLetter, prefix: str, by: str, trace: Mapping[str, str], edited_from: str | None = None
) -> list[tuple[str, bytes]]:
    """Return the headers to redrive it with: the original ones, the new trace context, and the letter's name.

    Headers that count attempts are left out: a redriven record starts with all its attempts.
    Raises TerminalError `not_redrivable` if the letter lacks its original topic or headers.
    """
    topic = letter.notes.get("dlt-topic")
    if topic != prefix + letter.origin or _original(letter.notes.get("dlt-headers", "")) is None:
        message = f"{letter.name} cannot be redriven: its original headers are missing, or Waggle did not write it"
        raise TerminalError(message, code="not_redrivable")
    new = {REDRIVEN_FROM: letter.name, REDRIVEN_BY: by, **trace}
    dropped = {*new, *_COUNTED, EDITED_FROM} if edited_from else {*new, *_COUNTED}
    kept = [(name, value) for name, value in letter.headers if name.lower() not in dropped]
    new |= {EDITED_FROM: edited_from} if edited_from else {}
    return kept + [(name, value.encode()) for name, value in new.items()]


def _original(text: str) -> list[tuple[str, bytes]] | None:
    """Parse the headers in `dlt-headers`; None if unreadable."""
    try:
        return [(str(name), base64.b64decode(value, validate=True)) for name, value in from_json(text)]
    except (ValueError, TypeError, binascii.Error):
        return None
