"""Trace context of messages. A message's span id is computed from its id, so the same message is the same span.

A message may be published more than once, after a crash between publishing and committing. A message that follows from
several others can link to their spans without any of them having been stored.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

_cause: ContextVar[str | None] = ContextVar("cause", default=None)
"""Span in another trace that caused the messages being sent."""

_chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)
"""Context of the span that is being started, if a message determines it."""

_random = RandomIdGenerator()


class MessageTrace(NamedTuple):
    """Trace context of one message. All fields but `tracestate` are `traceparent`s."""

    traceparent: str
    """Send span, carried in the message's headers."""
    tracestate: str | None
    parent: str | None
    """Parent of the send span; None without one."""
    links: tuple[str, ...]
    """Further spans the message follows from."""


def trace_for_message(id: str, *, follows: Iterable[str] = ()) -> MessageTrace:
    """Return the trace context of message `id`, sent in the current span; `follows`: ids of messages to link to."""
    here = trace.get_current_span().get_span_context()
    trace_id = here.trace_id if here.is_valid else _random.generate_trace_id()
    flags = int(here.trace_flags) if here.is_valid else 0
    causes = [_traceparent(trace_id, sending_id(trace_id, each), flags) for each in follows]
    if (cause := _cause.get()) is not None:
        causes.append(cause)
    return MessageTrace(
        traceparent=_traceparent(trace_id, sending_id(trace_id, id), flags),
        tracestate=here.trace_state.to_header() or None if here.is_valid else None,
        parent=_traceparent(trace_id, here.span_id, flags) if here.is_valid else None,
        links=tuple(causes),
    )


def trace_for_retry(traceparent: str, id: str) -> str:
    """Trace context for a resend under a new id in the same trace; empty if `traceparent` is invalid."""
    before = context_of(traceparent)
    if not before.is_valid:
        return ""
    return _traceparent(before.trace_id, sending_id(before.trace_id, id), int(before.trace_flags))


def current_traceparent() -> str:
    """Return the current span as a `traceparent`; empty without one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


def new_traceparent(outer: Context | None = None) -> str:
    """Return the `traceparent` of a new span below the one of `outer`, by default the current one."""
    above = trace.get_current_span(outer).get_span_context()
    trace_id = above.trace_id if above.is_valid else _random.generate_trace_id()
    return _traceparent(trace_id, _random.generate_span_id(), int(above.trace_flags) if above.is_valid else 0)


@contextmanager
def run_trace(traceparent: str | None, run_id: str, *, at_intake: bool = False) -> Iterator[None]:
    """Put messages sent in this block into the run's trace, named by `traceparent`.

    Messages caused by another trace, such as a human decision or an operator's command, are linked to it. Messages that
    start the run (`at_intake`) are sent in the span of the whole run.
    """
    origin, now = context_of(traceparent or ""), trace.get_current_span().get_span_context()
    foreign = now.trace_id != origin.trace_id
    if not origin.is_valid or not (foreign or at_intake):
        yield
        return
    cause = _cause.set(current_traceparent() or None if foreign else None)
    try:
        with trace.use_span(NonRecordingSpan(workflow_context(origin, run_id))):
            yield
    finally:
        _cause.reset(cause)


def workflow_context(origin: SpanContext, run_id: str) -> SpanContext:
    """Return the span of a whole run, in the trace of its intake."""
    id = sending_id(origin.trace_id, f"run/{run_id}")
    return SpanContext(origin.trace_id, id, is_remote=True, trace_flags=origin.trace_flags)


def sending_id(trace_id: int, id: str) -> int:
    """Return the id of the message's send span."""
    digest = hashlib.sha256(trace_id.to_bytes(16, "big") + id.encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


def context_of(traceparent: str) -> SpanContext:
    """Return the span a `traceparent` names; an invalid context if it names none."""
    found = propagate.extract({"traceparent": traceparent}, context=_NOWHERE)
    return trace.get_current_span(found).get_span_context()


def links_to(traceparents: Iterable[str]) -> list[Link]:
    """Return links to these spans, leaving out invalid ones."""
    return [Link(context) for context in map(context_of, traceparents) if context.is_valid]


def _traceparent(trace_id: int, span_id: int, flags: int) -> str:
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 1:02x}"


_NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN)


@contextmanager
def as_span(context: SpanContext) -> Iterator[None]:
    """Give the span started in this block the id of `context`; a span without a parent, its trace id, too."""
    chosen = _chosen.set(context)
    try:
        yield
    finally:
        _chosen.reset(chosen)


class ChosenIds(RandomIdGenerator):
    """Random ids, except for spans whose id is computed from a message."""

    def generate_span_id(self) -> int:
        """Return the chosen id, else a random one."""
        chosen = _chosen.get()
        return chosen.span_id if chosen else super().generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the chosen id, else a random one."""
        chosen = _chosen.get()
        return chosen.trace_id if chosen else super().generate_trace_id()
