"""Spans of a task: one `send` and one `process` per hop, and the whole run. Agents add theirs inside `process`.

Trace context arrives in a message's headers and leaves with every message it causes. docs/traces.md shows the tree.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import propagate, trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from schemas.budget import Usage
from shared.telemetry import conventions as c
from shared.telemetry.propagation import as_span, context_of, links_to, new_traceparent, workflow_context
from shared.telemetry.sends import SendSpan

_tracer = trace.get_tracer("waggle")

LONGEST_REASON = 500
"""Characters."""


@contextmanager
def spanning(
    name: str,
    attributes: Mapping[str, AttributeValue],
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    links: Iterable[Link] = (),
) -> Iterator[Span]:
    """Wrap a block in a span; an exception that leaves the block marks the span as failed."""
    with _tracer.start_as_current_span(name, context, kind, attributes, list(links)) as span:
        try:
            yield span
        except Exception as failure:
            span.set_attribute(c.ERROR_TYPE, _kind(failure))
            raise


def failed(span: Span, code: str, message: str) -> None:
    """Mark a span as failed whose block ends without an exception."""
    span.set_attribute(c.ERROR_TYPE, code)
    span.set_status(StatusCode.ERROR, message[:500])


@contextmanager
def processing(headers: Mapping[str, bytes], attributes: Mapping[str, AttributeValue], topic: str) -> Iterator[Span]:
    """Span of one delivery, child of the span that sent the record. Messages sent inside continue the trace."""
    carrier = {
        name: headers[name].decode(errors="replace") for name in ("traceparent", "tracestate") if name in headers
    }
    known = {
        c.MESSAGING_SYSTEM: c.KAFKA,
        c.MESSAGING_OPERATION_TYPE: c.PROCESS,
        c.MESSAGING_OPERATION_NAME: c.PROCESS,
        c.MESSAGING_DESTINATION: topic,
    }
    with spanning(
        f"{c.PROCESS} {topic}", known | dict(attributes), SpanKind.CONSUMER, propagate.extract(carrier)
    ) as span:
        yield span


def send_span(
    topic: str, traceparent: str, parent: str | None, links: Iterable[str], id: str, key: str
) -> SendSpan | None:
    """Return the send span of a record, under the id the record carries; None without a parent or if not sampled."""
    if parent is None or not context_of(traceparent).trace_flags.sampled:
        return None
    attributes = {c.MESSAGING_MESSAGE_ID: id, c.MESSAGING_KAFKA_KEY: key}
    outer = trace.set_span_in_context(trace.NonRecordingSpan(context_of(parent)), Context())
    return SendSpan(topic, traceparent, outer, links_to(links), attributes)


@contextmanager
def sending(topic: str) -> Iterator[str]:
    """Send span of a record that is sent in this block, such as a dead letter. Yields its `traceparent`."""
    with _one_sent(SendSpan(topic, new_traceparent(), get_current())) as traceparent:
        yield traceparent


@contextmanager
def redriving(topic: str, traceparent: str, name: str) -> Iterator[dict[str, str]]:
    """Span of redriving a dead letter, in its original trace (`traceparent`) and linked to the operator's span.

    Yields the headers that continue the trace.
    """
    now = trace.get_current_span().get_span_context()
    before = propagate.extract({"traceparent": traceparent}, context=Context())
    links = [Link(now)] if now.is_valid else []
    span = SendSpan(topic, new_traceparent(before), before, links, {c.REDRIVEN_FROM: name})
    with _one_sent(span) as continued:
        yield {"traceparent": continued}


@contextmanager
def _one_sent(span: SendSpan) -> Iterator[str]:
    try:
        with span.sending():
            yield span.traceparent
    except Exception as failure:
        span.end(failure)
        raise
    span.end()


def set_attributes(**attributes: AttributeValue | None) -> None:
    """Set `waggle.<name>` attributes on the current span; None is left out."""
    span = trace.get_current_span()
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(f"waggle.{name}", value)


def workflow(
    run_id: str, traceparent: str | None, started: datetime, state: str, error: str | None, usage: Usage
) -> None:
    """Record the span of a whole run when it ends: the parent of everything the run sent."""
    origin = context_of(traceparent or "")
    if not origin.trace_flags.sampled:
        return
    attributes = {
        c.GEN_AI_OPERATION: c.INVOKE_WORKFLOW,
        c.GEN_AI_WORKFLOW: "waggle",
        c.GEN_AI_CONVERSATION: run_id,
        c.RUN: run_id,
        c.STATE: state,
    }
    outer = trace.set_span_in_context(trace.NonRecordingSpan(origin), Context())
    with as_span(workflow_context(origin, run_id)):
        began = int(started.timestamp() * 1e9)
        span = _tracer.start_span(f"{c.INVOKE_WORKFLOW} waggle", outer, attributes=attributes, start_time=began)
    record_usage(span, usage)
    if error is not None:
        failed(span, error, f"the run ended {state}")
    span.end()


def moved(source: str, target: str, reason: str) -> None:
    """Add the event of a run's change of state."""
    about = {"waggle.from": source, "waggle.to": target, "waggle.reason": reason[:LONGEST_REASON]}
    trace.get_current_span().add_event(c.TRANSITION, about)


def record_usage(span: Span, usage: Usage) -> None:
    """Record tokens and cost of a model call, or of all of an agent's work."""
    tokens = {c.GEN_AI_INPUT_TOKENS: usage.prompt_tokens, c.GEN_AI_OUTPUT_TOKENS: usage.completion_tokens}
    span.set_attributes(tokens | {c.COST_USD: usage.cost_usd})


def _kind(failure: Exception) -> str:
    return str(getattr(failure, "code", None) or type(failure).__qualname__)
