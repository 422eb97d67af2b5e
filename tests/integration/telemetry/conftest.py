"""A process that exports its spans to a receiver."""

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from shared.telemetry import traces
from shared.telemetry.export import start_tracing
from shared.telemetry.sends import stop_instrumenting
from tests.support.otlp import receiver


@pytest.fixture
def exported(monkeypatch):
    """Spans that a process exports in the given setup; call it to start."""
    with receiver() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        registry = CollectorRegistry()

        def start(**variables: str):
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(trace, "set_tracer_provider", lambda _: None)
            provider = start_tracing("test", registry, ["correct-horse-battery"])
            monkeypatch.setattr(traces, "_tracer", provider.get_tracer("test"))
            return received, registry, provider

        yield start
        stop_instrumenting()
