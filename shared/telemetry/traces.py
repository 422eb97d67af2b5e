"""One trace a task: the context comes in with a message's headers and goes out with every message it causes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanKind

from schemas.envelope import Envelope

_tracer = trace.get_tracer("waggle")


def start_tracing(service: str) -> None:
    """Export spans when the standard OTEL_EXPORTER_OTLP_ENDPOINT says where to, sampled as OTEL_TRACES_SAMPLER says.

    Without it nothing is recorded, but every message carries its trace all the same.
    """
    resource = Resource.create({"service.name": f"waggle-{service}"})
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider = TracerProvider(resource=resource, sampler=ALWAYS_OFF)
    trace.set_tracer_provider(provider)


@contextmanager
def processing(envelope: Envelope, topic: str, service: str) -> Iterator[None]:
    """The span of one delivery, child of the span that sent it. What is published inside continues the trace."""
    carrier = {"traceparent": envelope.traceparent or "", "tracestate": envelope.tracestate or ""}
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.message.id": envelope.id,
        "messaging.consumer.group.name": service,
    }
    with _tracer.start_as_current_span(
        f"process {topic}", context=propagate.extract(carrier), kind=SpanKind.CONSUMER, attributes=attributes
    ):
        yield


@contextmanager
def redriving(topic: str, traceparent: str, name: str) -> Iterator[dict[str, str]]:
    """The span of putting a dead letter back: it begins a new trace, linked to the old one that `traceparent` names.

    Gives the headers that carry the new trace.
    """
    old = trace.get_current_span(propagate.extract({"traceparent": traceparent}, context=Context()))
    links = [Link(old.get_span_context())] if old.get_span_context().is_valid else []
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "waggle.redriven_from": name,
    }
    with _tracer.start_as_current_span(
        f"redrive {topic}", context=Context(), kind=SpanKind.PRODUCER, attributes=attributes, links=links
    ):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield carrier
