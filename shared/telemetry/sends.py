"""Send spans, made by OpenTelemetry's instrumentation of aiokafka in the producer's `send`.

A record's span id and parent follow from its message, so the instrumentation gets a tracer that takes them from the
block in which a record is sent. Sends outside such a block, those of logs and tables, have no span.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

from shared.telemetry import conventions as c
from shared.telemetry.propagation import as_span, context_of

_sending: ContextVar["SendSpan | None"] = ContextVar("sending", default=None)


@dataclass(slots=True)
class SendSpan:
    """Send span of one record. It starts when the record is handed to a producer in the block `sending`.

    `traceparent`: the span as the record's header names it. It must be ended once Kafka has acknowledged the record.
    """

    topic: str
    traceparent: str
    outer: Context
    links: Sequence[Link] = ()
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    _span: Span = INVALID_SPAN

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send the record in this block."""
        before = _sending.set(self)
        try:
            yield
        finally:
            _sending.reset(before)

    def start(self, tracer: Tracer) -> Span:
        """Start the span."""
        with as_span(context_of(self.traceparent)):
            self._span = tracer.start_span(
                f"{c.SEND} {self.topic}", self.outer, SpanKind.PRODUCER, self.attributes, self.links
            )
        return self._span

    def end(self, failure: Exception | None = None) -> None:
        """End the span; a failure marks it."""
        if failure is not None:
            self._span.record_exception(failure)
            self._span.set_attribute(c.ERROR_TYPE, str(getattr(failure, "code", None) or type(failure).__qualname__))
            self._span.set_status(StatusCode.ERROR, str(failure)[:500])
        self._span.end()


def instrument(provider: TracerProvider) -> None:
    """Instrument the producers of this process. Its consumers have spans of ours: one for each delivery."""
    import aiokafka  # noqa: PLC0415 -- only a process that exports needs it
    from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor  # noqa: PLC0415 -- as above
    from opentelemetry.instrumentation.utils import unwrap  # noqa: PLC0415 -- as above

    AIOKafkaInstrumentor().instrument(tracer_provider=_SendTracers(provider), async_produce_hook=_complete)
    for received in ("getone", "getmany"):
        unwrap(aiokafka.AIOKafkaConsumer, received)


def stop_instrumenting() -> None:
    """Undo `instrument`, if it was done."""
    from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor  # noqa: PLC0415 -- as above

    if (instrumentor := AIOKafkaInstrumentor()).is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


async def _complete(span: Span, _: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Name the operation as current conventions do, and leave out a second trace context: the record has one."""
    span.set_attribute(c.MESSAGING_OPERATION_TYPE, c.SEND)
    headers, names = given["headers"], propagate.get_global_textmap().fields
    while headers and (last := headers[-1][0]) in names and any(name == last for name, _ in headers[:-1]):
        headers.pop()


class _SendTracers(TracerProvider):
    """Provider of the tracer below."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *given: Any, **more: Any) -> Tracer:
        return _SendTracer(self._provider.get_tracer(*given, **more))


class _SendTracer(Tracer):
    """Tracer whose spans are those of the records that are being sent."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, *_: Any, **__: Any) -> Span:
        sending = _sending.get()
        return INVALID_SPAN if sending is None else sending.start(self._tracer)

    @contextmanager
    def start_as_current_span(self, *_: Any, **__: Any) -> Iterator[Span]:  # type: ignore[override]
        """Start the span and leave it open: it ends with the acknowledgement, not when the record is handed over."""
        yield self.start_span()
