"""Export of spans by OTLP, configured by the standard OTEL variables and never at the expense of the work."""

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue
from prometheus_client import CollectorRegistry, Counter

from shared.telemetry.propagation import ChosenIds
from shared.telemetry.redaction import Redaction
from shared.telemetry.sends import instrument

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Without one of these variables nothing is recorded."""

CLOSING = 2.0
"""Seconds a stopping process spends on flushing spans."""

WAITING = 2_048
"""Default queue length in spans; OTEL_BSP_MAX_QUEUE_SIZE overrides it."""

UNSAMPLED = 1_000
"""Unsampled spans in progress that are tracked until their delivery succeeds or fails."""

log = structlog.get_logger()


def start_tracing(service: str, registry: CollectorRegistry, secrets: Iterable[str] = ()) -> TracerProvider:
    """Export spans to OTEL_EXPORTER_OTLP_ENDPOINT, sampled by OTEL_TRACES_SAMPLER.

    Failed deliveries are exported even if unsampled. Without an endpoint nothing is recorded, but messages still carry
    their trace context. Lost spans are counted in `registry`; `secrets` are redacted.
    """
    resource = Resource.create({"service.name": f"waggle-{service}"})
    if not any(os.environ.get(name) for name in ENDPOINTS):
        provider = TracerProvider(sampler=ALWAYS_OFF, resource=resource, id_generator=ChosenIds())
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- 50 ms

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a counter and one line of ours report it
        exporter = RedactingExporter(OTLPSpanExporter(), Redaction(secrets))
        provider = TracerProvider(resource=resource, id_generator=ChosenIds(), shutdown_on_exit=False)
        provider.sampler = RecordingSampler(provider.sampler)
        provider.add_span_processor(FailureKeeper(BoundedBatch(CountingExporter(exporter, registry))))
        instrument(provider)
    trace.set_tracer_provider(provider)
    return provider


def stop_tracing(provider: TracerProvider) -> None:
    """Flush for at most `CLOSING` seconds: an exporter that is down must not delay a stopping process."""
    flushing = threading.Thread(target=provider.force_flush, args=(int(CLOSING * 1000),), daemon=True)
    flushing.start()
    flushing.join(CLOSING)


class RedactingExporter(SpanExporter):
    """Redacts secrets in the failures and contents on spans."""

    def __init__(self, exporter: SpanExporter, redaction: Redaction) -> None:
        self._exporter = exporter
        self._redaction = redaction

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export redacted copies."""
        return self._exporter.export([self._redacted(span) for span in spans])

    def _redacted(self, span: ReadableSpan) -> ReadableSpan:
        events = [Event(each.name, self._attributes(each.attributes), each.timestamp) for each in span.events]
        status = span.status
        if status.description:
            status = Status(status.status_code, self._redaction.text(status.description))
        return _like(span, attributes=self._attributes(span.attributes), events=events, status=status)

    def _attributes(self, attributes: Attributes) -> dict[str, AttributeValue]:
        """Redact texts; leave numbers and lists as they are."""
        pairs = dict(attributes or {}).items()
        return {name: self._redaction.text(value) if isinstance(value, str) else value for name, value in pairs}

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush."""
        return self._exporter.force_flush(timeout_millis)


class CountingExporter(SpanExporter):
    """Counts spans lost to a failing export or a full queue, and logs each change between failing and working."""

    def __init__(self, exporter: SpanExporter, registry: CollectorRegistry) -> None:
        self._exporter = exporter
        self._lost = Counter("waggle_spans_lost", "Spans that were not exported.", registry=registry)
        self._failing = False
        self._waiting = 0
        self._lock = threading.Lock()

    def admit(self, most: int) -> bool:
        """Return True if the queue of `most` spans has room for one more; else count it as lost."""
        with self._lock:
            admitted = self._waiting < most
            self._waiting += admitted
        if not admitted:
            self._lost.inc()
        return admitted

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, counting the spans lost."""
        with self._lock:
            self._waiting -= len(spans)
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            self._lost.inc(len(spans))
        if failing != self._failing:
            log.warning("span_export_failed" if failing else "span_export_recovered")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush."""
        return self._exporter.force_flush(timeout_millis)


class BoundedBatch(BatchSpanProcessor):
    """Batches spans. While the receiver is unavailable, at most OTEL_BSP_MAX_QUEUE_SIZE of them wait."""

    def __init__(self, exporter: CountingExporter) -> None:
        self._most = int(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE, WAITING))
        self._counting = exporter
        super().__init__(exporter, max_queue_size=self._most)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span for its batch, unless the queue is full."""
        if self._counting.admit(self._most):
            super().on_end(span)


class RecordingSampler(Sampler):
    """Records spans another sampler drops: only at its end is it known whether a span failed."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        """Return the other sampler's decision, with DROP replaced by RECORD_ONLY."""
        decided = self._sampler.should_sample(*args, **kwargs)  # type: ignore[arg-type]
        if decided.decision is not Decision.DROP:
            return decided
        return SamplingResult(Decision.RECORD_ONLY, decided.attributes, decided.trace_state)

    def get_description(self) -> str:
        """Describe the sampler."""
        return f"failures, and {self._sampler.get_description()}"


class FailureKeeper(SpanProcessor):
    """Forwards sampled spans, and all unsampled spans of a delivery in which one failed.

    Spans of a delivery share a local root, the span whose parent is in another process.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner
        self._roots: OrderedDict[int, int] = OrderedDict()
        """Unsampled span in progress → its local root."""
        self._kept: dict[int, list[ReadableSpan]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Track an unsampled span under its local root."""
        context, parent = span.get_span_context(), span.parent
        if context.trace_flags.sampled:
            self._inner.on_start(span, parent_context)
            return
        root = self._roots.get(parent.span_id) if parent is not None else None
        self._roots[context.span_id] = root or context.span_id
        while len(self._roots) > UNSAMPLED:
            forgotten, _ = self._roots.popitem(last=False)
            self._kept.pop(forgotten, None)

    def on_end(self, span: ReadableSpan) -> None:
        """Forward a sampled span; keep an unsampled one until its delivery ends."""
        context = _context(span)
        if context.trace_flags.sampled:
            self._inner.on_end(span)
            return
        root = self._roots.pop(context.span_id, context.span_id)
        self._kept.setdefault(root, []).append(span)
        if root == context.span_id:
            self._forward_failed(self._kept.pop(root))

    def _forward_failed(self, spans: Sequence[ReadableSpan]) -> None:
        if any(span.status.status_code is StatusCode.ERROR for span in spans):
            for span in spans:
                self._inner.on_end(_sampled(span))

    def shutdown(self) -> None:
        """Close the connection."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush."""
        return self._inner.force_flush(timeout_millis)


def _context(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None, "a span that was started has a context"
    return context


def _sampled(span: ReadableSpan) -> ReadableSpan:
    """Return a copy marked as sampled."""
    context = _context(span)
    return _like(
        span,
        context=SpanContext(
            context.trace_id,
            context.span_id,
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=context.trace_state,
        ),
    )


def _like(span: ReadableSpan, **changes: Any) -> ReadableSpan:
    """Return a copy with some parts replaced."""
    parts: dict[str, Any] = {
        "name": span.name,
        "context": _context(span),
        "parent": span.parent,
        "resource": span.resource,
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return ReadableSpan(**parts | changes)
