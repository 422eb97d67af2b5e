"""Where in a trace a message is sent: computed from its id, so that the same message is the same span.

A message may be published more than once: by a crash between publishing and committing. And what follows from several
messages can name the spans of all of them without anybody having kept them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

_cause: ContextVar[str | None] = ContextVar("cause", default=None)
"""The span, in another trace, that has caused what is sent now."""

_random = RandomIdGenerator()


class Carried(NamedTuple):
    """What a message carries of its trace, and what is shown of its sending. All are `traceparent`s, but the state."""

    traceparent: str
    """The span of its sending: its headers have it."""
    tracestate: str | None
    parent: str | None
    """The span it is sent in; None when there is none."""
    links: tuple[str, ...]
    """The spans it follows from besides."""


def carried(id: str, *, follows: Iterable[str] = ()) -> Carried:
    """The place in the current trace of the message with that id, which also follows from the messages `follows`."""
    here = trace.get_current_span().get_span_context()
    trace_id = here.trace_id if here.is_valid else _random.generate_trace_id()
    flags = int(here.trace_flags) if here.is_valid else 0
    causes = [_traceparent(trace_id, sending_id(trace_id, each), flags) for each in follows]
    if (cause := _cause.get()) is not None:
        causes.append(cause)
    return Carried(
        traceparent=_traceparent(trace_id, sending_id(trace_id, id), flags),
        tracestate=here.trace_state.to_header() or None if here.is_valid else None,
        parent=_traceparent(trace_id, here.span_id, flags) if here.is_valid else None,
        links=tuple(causes),
    )


def resent(traceparent: str, id: str) -> str:
    """What a message carries that is sent once more under another id, in the trace it was in."""
    before = context_of(traceparent)
    if not before.is_valid:
        return ""
    return _traceparent(before.trace_id, sending_id(before.trace_id, id), int(before.trace_flags))


def here() -> str:
    """The current span, as a `traceparent`; empty when there is none."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def within(traceparent: str | None, run_id: str, *, at_intake: bool = False) -> Iterator[None]:
    """What is sent in this block belongs to the run's trace, which `traceparent` names.

    What another trace has caused, such as a person's decision or an operator's command, is linked to that. What starts
    the run is sent in the span of the whole run.
    """
    origin, now = context_of(traceparent or ""), trace.get_current_span().get_span_context()
    foreign = now.trace_id != origin.trace_id
    if not origin.is_valid or not (foreign or at_intake):
        yield
        return
    cause = _cause.set(here() or None if foreign else None)
    try:
        with trace.use_span(NonRecordingSpan(workflow_context(origin, run_id))):
            yield
    finally:
        _cause.reset(cause)


def workflow_context(origin: SpanContext, run_id: str) -> SpanContext:
    """The span of a whole run, in the trace it was taken in with."""
    id = sending_id(origin.trace_id, f"run/{run_id}")
    return SpanContext(origin.trace_id, id, is_remote=True, trace_flags=origin.trace_flags)


def sending_id(trace_id: int, id: str) -> int:
    """The id of the span in which the message is sent."""
    digest = hashlib.sha256(trace_id.to_bytes(16, "big") + id.encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


def context_of(traceparent: str) -> SpanContext:
    """The span a `traceparent` names; an invalid one if it names none."""
    found = propagate.extract({"traceparent": traceparent}, context=_NOWHERE)
    return trace.get_current_span(found).get_span_context()


def links_to(traceparents: Iterable[str]) -> list[Link]:
    """Links to these spans; what names none is left out."""
    return [Link(context) for context in map(context_of, traceparents) if context.is_valid]


def _traceparent(trace_id: int, span_id: int, flags: int) -> str:
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 1:02x}"


_NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN)
