"""Ids of spans: random, except where a message determines them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext

_chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)


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
