"""Conversion between typed messages and Kafka records: CloudEvents attributes in headers, JSON in the value."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from schemas.envelope import HEADER, REQUIRED, Envelope, from_headers, to_headers
from schemas.faults import faults
from schemas.message import Message, Part
from schemas.registry import message_class, topic_of, travels_on
from schemas.task import Priority
from shared.bus.sealing import SEALED, is_sealed
from shared.errors import InvalidMessage
from shared.telemetry.propagation import MessageTrace, current_traceparent, trace_for_message

_UNOPENED = "it is sealed, and no key opens it: if Postgres has lost the key, restore run_keys, then redrive it"

_LONGEST = 2_000
"""Characters of an error about an unreadable message, which may quote its contents."""


class Record(Part):
    """A record to publish now or later. Serialises to JSON for the outbox."""

    id: str
    topic: str
    key: str
    headers: dict[str, str]
    value: str
    parent: str | None = None
    """Parent of the send span, as a `traceparent`; None: no send span."""
    links: tuple[str, ...] = ()
    """Further spans the record follows from."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received record, decoded."""

    envelope: Envelope
    message: Message
    topic: str
    partition: int
    offset: int
    size: int
    """Bytes of the payload."""
    raw: Any = None
    """The record itself."""

    def tried(self, attempt: int) -> "Delivery":
        """Return the delivery as attempt `attempt`, overriding its header."""
        if attempt == self.envelope.attempt:
            return self
        return replace(self, envelope=self.envelope.model_copy(update={"attempt": attempt}))

    @property
    def mark(self) -> str:
        """Digest that identifies the event, used to recognise repetitions.

        A CloudEvent is identified by source and id. The token is included, so that a forged answer cannot make the
        genuine one look like a repetition.
        """
        envelope, token = self.envelope, getattr(self.message, "token", None)
        return content_id(envelope.type, envelope.source, envelope.id, token or "")


def encode(
    message: Message,
    *,
    id: str,
    source: str,
    prefix: str,
    now: datetime,
    key: str | None = None,
    cause: str | None = None,
    follows: Sequence[str] = (),
    shown: bool = True,
) -> Record:
    """Encode a message as a record. Its key, and so its order, is the run id unless `key` is given.

    The record carries the current trace; `follows` are ids of messages it also follows from. With `shown=False`, as for
    a log entry, it gets no span of its own.
    """
    subject = key or str(getattr(message, "run_id", id))
    trace = trace_for_message(id, follows=follows) if shown else MessageTrace(current_traceparent(), None, None, ())
    envelope = Envelope(
        id=id,
        source=source,
        type=message.wire_type(),
        subject=subject,
        time=now,
        tenant=getattr(message, "tenant", None),
        priority=_priority(message),
        causationid=cause,
        traceparent=trace.traceparent or None,
        tracestate=trace.tracestate,
    )
    return Record(
        id=id,
        topic=prefix + topic_of(message),
        key=subject,
        headers=to_headers(envelope),
        value=message.written(),
        parent=trace.parent,
        links=trace.links,
    )


def encode_lean(message: Message, *, key: str, source: str, prefix: str) -> Record:
    """Encode a log entry that has no effects, with only the required CloudEvents attributes.

    Its id is a digest of its content: the same entry is the same event.
    """
    value = message.model_dump_json(exclude_defaults=True)
    envelope = Envelope(id=content_id(key, value)[:16], source=source, type=message.wire_type())
    needed = envelope.model_dump(include={*REQUIRED, "datacontenttype"})
    headers = {HEADER[name]: str(each) for name, each in needed.items()}
    return Record(id=envelope.id, topic=prefix + topic_of(message), key=key, headers=headers, value=value)


def _priority(message: Message) -> str | None:
    """Return the priority; None if it is the default."""
    priority = getattr(message, "priority", Priority.NORMAL)
    return None if priority is Priority.NORMAL else str(priority)


def decode(record: Any, prefix: str) -> Delivery:
    """Decode a received record (aiokafka's ConsumerRecord).

    Raises InvalidMessage as `read` does, and for one that is still sealed.
    """
    value, headers = record.value or b"", header_map(record.headers)
    if SEALED in headers and is_sealed(value):
        raise InvalidMessage(_UNOPENED, code="sealed")
    envelope, message = read(record.topic.removeprefix(prefix), headers, value)
    return Delivery(envelope, message, record.topic, record.partition, record.offset, len(value), record)


def read(topic: str, headers: Mapping[str, bytes | str], value: bytes) -> tuple[Envelope, Message]:
    """Read envelope and message of a record on `topic`, named without the prefix.

    Raises InvalidMessage that names the fault: missing or wrong headers, an unknown type or version, a payload that
    does not match its schema, a message that belongs on another topic. Kafka's ACLs decide who may write a topic, so a
    message is accepted only on the topic of its authorised senders.
    """
    envelope, kind = read_envelope(headers)
    try:
        message = kind.read(value)
    except ValidationError as wrong:
        raise InvalidMessage(explain(wrong, kind), code="invalid_payload") from None
    if not travels_on(message, topic):
        where = f"{message.wire_type()} belongs on `{topic_of(message)}`, not on `{topic}`"
        raise InvalidMessage(where, code="wrong_topic")
    return envelope, message


def read_envelope(headers: Mapping[str, bytes | str]) -> tuple[Envelope, type[Message]]:
    """Return the envelope and the class of the message it announces. Raises InvalidMessage."""
    try:
        envelope = from_headers(headers)
        return envelope, message_class(envelope.type)
    except ValueError as wrong:
        raise InvalidMessage(str(wrong)[:_LONGEST], code="invalid_envelope") from None


def explain(wrong: ValidationError, kind: type[Message] | None = None) -> str:
    """Format a validation error of a message as one line: fields and faults."""
    return "; ".join(faults(wrong, kind))[:_LONGEST]


def header_map(headers: Any) -> Mapping[str, bytes]:
    """Return Kafka's header pairs as a mapping; the last value of a repeated name wins."""
    return {name.lower(): value or b"" for name, value in headers}


def time_of(record: Any) -> datetime:
    """Return the time of a received record by its writer's clock: any number; out of range it is the nearest moment."""
    return datetime.fromtimestamp(min(max(record.timestamp, 0), _LATEST) / 1_000, UTC)


_LATEST = 253_402_214_400_000
"""Start of the last day of the year 9999, in milliseconds: what `datetime` can hold in any time zone."""


def fingerprint(record: Any) -> str:
    """Digest of a received record's content, independent of its offset: equal only for a repetition."""
    headers = header_map(record.headers)
    named = [headers.get(HEADER[name], b"") for name in ("type", "source", "id")]
    parts = [record.topic.encode(), *named, record.key or b"", record.value or b""]
    return content_id(*(hashlib.sha256(part).hexdigest() for part in parts))


def content_id(*parts: str) -> str:
    """Derive an id from its parts: the same cause always gives the same id."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
