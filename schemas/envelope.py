"""CloudEvents 1.0 attributes, as the Kafka protocol binding carries them in headers (binary content mode)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from schemas.message import MOST, Id, Part, Slug


class InvalidEnvelope(ValueError):
    """A required header is missing, or a header has an invalid value."""


class Envelope(Part):
    """CloudEvents attributes of a message: sender, time, run, cause and trace."""

    specversion: Annotated[str, StringConstraints(pattern=r"^1\.\d+$")] = Field(
        "1.0", description="`1.0`; any `1.x` is read."
    )
    id: Id = Field(description="Identifies this event; a repeated id is the same event and changes nothing.")
    source: str = Field(min_length=1, description="Sender, as a URI reference such as `/shop/orders`.")
    type: str = Field(min_length=1, description="The message's wire type, such as `waggle.task.v1`.")
    subject: str | None = Field(None, description="The run it is about.")
    time: AwareDatetime | None = Field(None, description="Time of sending: RFC 3339, with an offset from UTC.")
    datacontenttype: str = Field("application/json", description="`application/json`, or another type ending in +json.")
    tenant: Slug | None = Field(None, description="Tenant. Informative; the payload's `tenant` decides.")
    causationid: str | None = Field(None, description="Id of the event that caused this one.")
    priority: str | None = Field(None, description="Priority among the tenant's tasks: low, normal or high.")
    attempt: int = Field(1, ge=1, le=MOST, description="Delivery number of the same message, in decimal digits.")
    traceparent: str | None = Field(None, description="W3C Trace Context; the run continues this trace.")
    tracestate: str | None = Field(None, description="W3C Trace Context, vendor-specific part.")


_PLAIN = {"datacontenttype": "content-type", "traceparent": "traceparent", "tracestate": "tracestate"}
"""Attributes whose header has no `ce_` prefix."""

HEADER = {name: _PLAIN.get(name, f"ce_{name}") for name in Envelope.model_fields}
"""The Kafka header of each attribute."""

REQUIRED = ("specversion", "id", "source", "type")
"""Attributes that every CloudEvent has."""


def to_headers(envelope: Envelope) -> dict[str, str]:
    """Return the headers of an envelope; attributes that are None are omitted."""
    values = {name: getattr(envelope, name) for name in Envelope.model_fields}
    return {HEADER[name]: _text(value) for name, value in values.items() if value is not None}


def from_headers(headers: Mapping[str, bytes | str]) -> Envelope:
    """Read the envelope from headers, case-insensitively. Raises InvalidEnvelope, naming the invalid header."""
    lower = {name.lower(): value for name, value in headers.items()}
    found: dict[str, Any] = {name: _read(lower[header]) for name, header in HEADER.items() if header in lower}
    for required in REQUIRED:
        if not found.get(required):
            raise InvalidEnvelope(f"header `{HEADER[required]}` is missing: messages are CloudEvents in binary mode")
    media_type = found.get("datacontenttype", "application/json").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if not is_json or media_type.startswith("application/cloudevents"):
        raise InvalidEnvelope(f"header `content-type` is `{media_type}`; it must be application/json (binary mode)")
    try:
        return Envelope.model_validate(found)
    except ValidationError as wrong:
        error = wrong.errors()[0]
        raise InvalidEnvelope(f"header `{HEADER[str(error['loc'][0])]}`: {error['msg']}") from None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
