"""Between typed messages and Kafka records: CloudEvents attributes in the headers, JSON in the value."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from schemas.envelope import HEADER, REQUIRED, Envelope, from_headers, to_headers
from schemas.message import Message, Part
from schemas.registry import message_class, topic_of, travels_on
from schemas.task import Priority
from shared.errors import InvalidMessage
from shared.telemetry.propagation import MessageTrace, current_traceparent, trace_for_message

_LONGEST = 2_000
"""Characters of what is said about a message that cannot be read: it may repeat what stands in it."""


class Record(Part):
    """A record to publish, or one that waits to be. Serialises to JSON for the outbox."""

    id: str
    topic: str
    key: str
    headers: dict[str, str]
    value: str
    parent: str | None = None
    """The span it is sent in, as a `traceparent`; None: its sending is not shown."""
    links: tuple[str, ...] = ()
    """Spans it follows from besides."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as it was received, decoded."""

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
        """The same as that attempt, whatever its header says."""
        if attempt == self.envelope.attempt:
            return self
        return replace(self, envelope=self.envelope.model_copy(update={"attempt": attempt}))

    @property
    def mark(self) -> str:
        """Digest that names the event, by which a repetition of it is recognised.

        A CloudEvent is named by its source and id. The token is part of it, so that a forged answer does not have the
        genuine one taken for a repetition.
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
    """The record of a message. Its key, and so its order, is the run's id unless another is given.

    The trace that is current where this is called goes with it; `follows` are ids of messages it also follows from.
    What is not `shown`, such as an entry of a log, has no span of its own.
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
    """The record of a log entry that nothing follows from: what a CloudEvent must have, and no more.

    Its id is that of its content: the same entry again is the same event.
    """
    value = message.model_dump_json(exclude_defaults=True)
    envelope = Envelope(id=content_id(key, value)[:16], source=source, type=message.wire_type())
    needed = envelope.model_dump(include={*REQUIRED, "datacontenttype"})
    headers = {HEADER[name]: str(each) for name, each in needed.items()}
    return Record(id=envelope.id, topic=prefix + topic_of(message), key=key, headers=headers, value=value)


def _priority(message: Message) -> str | None:
    """Left out where it says nothing."""
    priority = getattr(message, "priority", Priority.NORMAL)
    return None if priority is Priority.NORMAL else str(priority)


def decode(record: Any, prefix: str) -> Delivery:
    """The message in a received record (aiokafka's ConsumerRecord).

    Raises InvalidMessage as `read` does.
    """
    value: bytes = record.value or b""
    envelope, message = read(record.topic.removeprefix(prefix), header_map(record.headers), value)
    return Delivery(envelope, message, record.topic, record.partition, record.offset, len(value), record)


def read(topic: str, headers: Mapping[str, bytes | str], value: bytes) -> tuple[Envelope, Message]:
    """The envelope and the message of a record on the topic, which is named without the prefix.

    Raises InvalidMessage, saying what is wrong: missing or wrong headers, an unknown type or version, a payload that
    does not fit its schema, a message that belongs on another topic. Who may write a topic is decided by Kafka's ACLs,
    so a message is obeyed only where those who may send it write.
    """
    try:
        envelope = from_headers(headers)
        kind = message_class(envelope.type)
    except ValueError as wrong:
        raise InvalidMessage(str(wrong)[:_LONGEST], code="invalid_envelope") from None
    try:
        message = kind.read(value)
    except ValidationError as wrong:
        raise InvalidMessage(explain(wrong), code="invalid_payload") from None
    if not travels_on(message, topic):
        where = f"{message.wire_type()} belongs on `{topic_of(message)}`, not on `{topic}`"
        raise InvalidMessage(where, code="wrong_topic")
    return envelope, message


def explain(wrong: ValidationError) -> str:
    """A validation error as one line: where, and what is wrong there."""
    return "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'payload'}: {error['msg']}" for error in wrong.errors(include_url=False)
    )[:_LONGEST]


def header_map(headers: Any) -> Mapping[str, bytes]:
    """Kafka's header pairs as a mapping; of a name that stands twice the last counts."""
    return {name.lower(): value or b"" for name, value in headers}


def fingerprint(record: Any) -> str:
    """Digest that names a received record by what it is, not by where it lies: equal for a repetition of it alone."""
    headers = header_map(record.headers)
    named = [headers.get(HEADER[name], b"") for name in ("type", "source", "id")]
    parts = [record.topic.encode(), *named, record.key or b"", record.value or b""]
    return content_id(*(hashlib.sha256(part).hexdigest() for part in parts))


def content_id(*parts: str) -> str:
    """An id derived from its parts: the same cause always gives the same id."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
