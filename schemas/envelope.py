"""CloudEvents 1.0 attributes, as the Kafka protocol binding carries them in headers (binary content mode)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from schemas.message import Id, Part, Slug


class InvalidEnvelope(ValueError):
    """A required header is missing, or one has a value that cannot be."""


class Envelope(Part):
    """Who sent what, when, about which run, because of what, in which trace."""

    specversion: Annotated[str, StringConstraints(pattern=r"^1\.\d+$")] = "1.0"
    id: Id
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str | None = None
    time: AwareDatetime | None = None
    datacontenttype: str = "application/json"
    tenant: Slug | None = None
    causationid: str | None = None
    attempt: int = Field(1, ge=1)
    traceparent: str | None = None
    tracestate: str | None = None


_PLAIN = {"datacontenttype": "content-type", "traceparent": "traceparent", "tracestate": "tracestate"}
"""Attributes whose header has no `ce_` before it."""

_HEADER = {name: _PLAIN.get(name, f"ce_{name}") for name in Envelope.model_fields}


def to_headers(envelope: Envelope) -> dict[str, str]:
    """The headers of an envelope; what is None has none."""
    values = {name: getattr(envelope, name) for name in Envelope.model_fields}
    return {_HEADER[name]: _text(value) for name, value in values.items() if value is not None}


def from_headers(headers: Mapping[str, bytes | str]) -> Envelope:
    """The envelope in some headers, whatever their case. Raises InvalidEnvelope, naming the header that is wrong."""
    lower = {name.lower(): value for name, value in headers.items()}
    found: dict[str, Any] = {name: _read(lower[header]) for name, header in _HEADER.items() if header in lower}
    for required in ("specversion", "id", "source", "type"):
        if not found.get(required):
            raise InvalidEnvelope(f"header `{_HEADER[required]}` is missing: messages are CloudEvents in binary mode")
    media_type = found.get("datacontenttype", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise InvalidEnvelope(f"header `content-type` is `{media_type}`; it must be application/json")
    try:
        return Envelope.model_validate(found)
    except ValidationError as wrong:
        error = wrong.errors()[0]
        raise InvalidEnvelope(f"header `{_HEADER[str(error['loc'][0])]}`: {error['msg']}") from None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
