"""Where records go that nobody can work on: the dead-letter topic, with their bytes and the reason. And back."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pydantic_core import from_json

from schemas.envelope import HEADER
from shared.bus.broker import size_of
from shared.bus.record import header_map
from shared.errors import TerminalError, WaggleError

SUFFIX = ".dlt"

CAUSES = "waggle-causes"
"""Header of a record that is tried again: a JSON list of why it was, oldest first."""

_COUNTED = {HEADER["attempt"], CAUSES}
"""Headers of a record that is tried again."""

REDRIVEN_FROM = "redriven-from"
"""Header of a record that was put back: the name of the dead letter it was."""

REDRIVEN_BY = "redriven-by"
"""Header of a record that was put back: by whom."""


LARGEST = 9 * 1_048_576 - 4_096
"""Bytes of key, headers and value of a dead letter: what its topic takes, less what Kafka puts around a record."""

_ORIGINAL = ("dlt-headers", "dlt-key", "dlt-causes")
"""Headers that repeat what somebody else has written, and so are as large as that was."""


def dead_letter_headers(
    record: Any, error: WaggleError, *, service: str, attempts: int, now: datetime
) -> dict[str, str]:
    """Where the record came from and why it could not be worked on.

    Its own headers are kept byte for byte in `dlt-headers`: a JSON list of `[name, base64]`. If they do not fit beside
    the value, `dlt-lost` says how many bytes they were and their SHA-256: they stay in the topic they came from, at the
    offset that is named, for as long as that keeps them.
    """
    headers = _headers(record, error, service, attempts, now)
    if size_of(record.key, record.value or b"", [(name, said.encode()) for name, said in headers.items()]) <= LARGEST:
        return headers
    lost = {name: headers.pop(name).encode() for name in _ORIGINAL}
    said = {name: {"bytes": len(each), "sha256": hashlib.sha256(each).hexdigest()} for name, each in lost.items()}
    return headers | {"dlt-lost": json.dumps(said)}


def _headers(record: Any, error: WaggleError, service: str, attempts: int, now: datetime) -> dict[str, str]:
    original = [[name, base64.b64encode(value or b"").decode()] for name, value in record.headers]
    own = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    return {
        "dlt-topic": record.topic,
        "dlt-partition": str(record.partition),
        "dlt-offset": str(record.offset),
        "dlt-key": base64.b64encode(record.key or b"").decode(),
        "dlt-headers": json.dumps(original),
        "dlt-error": error.code,
        "dlt-message": str(error)[:4_000],
        "dlt-attempts": str(attempts),
        "dlt-causes": own.get(CAUSES, "[]"),
        "dlt-service": service,
        "dlt-version": version("waggle"),
        "dlt-time": now.isoformat(),
        "traceparent": own.get("traceparent", "")[:200],
    }


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of a dead-letter topic, read back. Whatever its headers do not say, or not readably, is empty."""

    topic: str
    """The dead-letter topic, without the prefix."""
    partition: int
    offset: int
    at: datetime
    """When it came there, as Kafka says it."""
    key: bytes | None
    value: bytes
    notes: Mapping[str, str]
    """What `dead_letter_headers` wrote."""
    headers: Sequence[tuple[str, bytes]]
    """The original headers, in their order, also those whose name stands twice."""

    @property
    def name(self) -> str:
        """What people call it by: `<topic>.dlt/<partition>/<offset>`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def origin(self) -> str:
        """The topic it was in, without the prefix."""
        return self.topic.removesuffix(SUFFIX)

    @property
    def came_from(self) -> str | None:
        """The dead letter that it was before it was redriven and failed again."""
        return self.header(REDRIVEN_FROM)

    @property
    def trace_id(self) -> str | None:
        """The trace it belongs to."""
        parts = self.notes.get("traceparent", "").split("-")
        return parts[1] if len(parts) == 4 else None

    @property
    def tenant(self) -> str | None:
        """Whose it is: the payload's word, if that is readable JSON, else the envelope's."""
        try:
            said = from_json(self.value)
        except ValueError:
            said = None
        inside = said.get("tenant") if isinstance(said, dict) else None
        return inside if isinstance(inside, str) else self.header("ce_tenant")

    @property
    def causes(self) -> Any:
        """The failures before the last one, if they were written down."""
        said = self.notes.get("dlt-causes")
        try:
            return None if said is None else from_json(said)
        except ValueError:
            return said

    def header(self, name: str) -> str | None:
        """An original header as text."""
        found = header_map(self.headers).get(name)
        return None if found is None else found.decode(errors="replace")


def read_dead_letter(record: Any, prefix: str) -> DeadLetter:
    """A record of a dead-letter topic as a dead letter; one that somebody else put there is one, too."""
    notes = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    return DeadLetter(
        topic=record.topic.removeprefix(prefix),
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=record.key,
        value=record.value or b"",
        notes=notes,
        headers=_original(notes.get("dlt-headers", "[]")) or (),
    )


def headers_back(letter: DeadLetter, prefix: str, by: str, trace: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """The headers to put it back with: the original ones, further on in their trace, and where they come from.

    What counts its attempts is left out: it has all of them again.
    Raises TerminalError `not_redrivable` when the letter does not say what it was.
    """
    said = letter.notes.get("dlt-topic")
    if said != prefix + letter.origin or _original(letter.notes.get("dlt-headers", "")) is None:
        message = f"{letter.name} does not say what it was: its headers are not there, or it is no dead letter of ours"
        raise TerminalError(message, code="not_redrivable")
    new = {REDRIVEN_FROM: letter.name, REDRIVEN_BY: by, **trace}
    kept = [(name, value) for name, value in letter.headers if name.lower() not in new and name.lower() not in _COUNTED]
    return kept + [(name, value.encode()) for name, value in new.items()]


def _original(text: str) -> list[tuple[str, bytes]] | None:
    """The headers in `dlt-headers`; None when that is not readable."""
    try:
        return [(str(name), base64.b64decode(value, validate=True)) for name, value in from_json(text)]
    except (ValueError, TypeError, binascii.Error):
        return None
