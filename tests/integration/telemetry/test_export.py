"""Exported spans, and the cost of an export that no receiver takes."""

import subprocess
import sys
import time

import pytest
from opentelemetry import trace

from shared.telemetry import agent_spans, traces
from shared.telemetry.export import stop_tracing
from shared.telemetry.propagation import context_of, run_trace, trace_for_message

UPSTREAM = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{}"


def deliver(flags: str, *, fails: bool) -> None:
    """One delivery with a tool call in it."""
    headers = {"traceparent": UPSTREAM.format(flags).encode()}
    with (
        traces.processing(headers, {}, "tasks"),
        agent_spans.executing_tool("add", "1", '{"a": 1}', replay=False) as span,
    ):
        if fails:
            traces.failed(span, "boom", "it failed")


def names(received) -> list[str]:
    return sorted(span.name for span in received.spans)


def test_a_failed_delivery_is_exported_whole_even_if_the_sampler_drops_it(exported):
    received, _, provider = exported(OTEL_TRACES_SAMPLER="always_off")
    deliver("01", fails=False)
    deliver("01", fails=True)
    provider.force_flush()
    assert names(received) == ["execute_tool add", "process tasks"]
    assert {span.trace for span in received.spans} == {UPSTREAM.split("-")[1]}


@pytest.mark.parametrize(("flags", "times"), [("01", 1), ("00", 0)])
def test_by_default_the_sender_decides_what_is_sampled(exported, flags, times):
    received, _, provider = exported()
    deliver(flags, fails=False)
    provider.force_flush()
    assert names(received) == ["execute_tool add", "process tasks"] * times


def test_an_exporter_that_is_down_costs_a_counter_and_a_moment_at_the_end(exported):
    received, registry, provider = exported(OTEL_EXPORTER_OTLP_TIMEOUT="1")
    received.refusing = True
    deliver("01", fails=False)
    began = time.monotonic()
    stop_tracing(provider)
    assert time.monotonic() - began < 4
    for _ in range(100):
        if lost := registry.get_sample_value("waggle_spans_lost_total"):
            break
        time.sleep(0.1)
    assert lost == 2


def test_spans_dropped_while_the_receiver_is_unavailable_are_counted_at_once_and_cost_no_time(exported):
    received, registry, provider = exported(OTEL_BSP_MAX_QUEUE_SIZE="512")
    received.refusing = True
    tracer, began = provider.get_tracer("test"), time.monotonic()
    for _ in range(5_000):
        tracer.start_span("work").end()
    assert time.monotonic() - began < 2.0
    assert registry.get_sample_value("waggle_spans_lost_total") >= 5_000 - 2 * 512
    provider.shutdown()


@pytest.mark.parametrize("wanted", [True, False])
def test_contents_are_on_spans_only_if_enabled(exported, wanted):
    received, _, provider = exported(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=str(wanted).lower())
    deliver("01", fails=False)
    provider.force_flush()
    [tool] = [span for span in received.spans if span.name.startswith("execute_tool")]
    assert tool.attributes.get("gen_ai.tool.call.arguments") == ('{"a": 1}' if wanted else None)


def test_no_secret_is_in_a_span_neither_a_known_one_nor_what_looks_like_one(exported):
    received, _, provider = exported()
    with (
        pytest.raises(ValueError, match="asked"),
        agent_spans.executing_tool("add", "1", "{}", replay=False),
    ):
        raise ValueError("asked https://eva:hunter2hunter2@host/ with correct-horse-battery")
    provider.force_flush()
    [span] = received.spans
    assert "***" in span.text
    assert "hunter2hunter2" not in span.text
    assert "correct-horse-battery" not in span.text


def test_a_message_that_is_published_twice_is_the_same_span(exported):
    exported()
    with traces.processing({"traceparent": UPSTREAM.format("01").encode()}, {}, "tasks"):
        first, second, other = trace_for_message("a"), trace_for_message("a"), trace_for_message("b")
    assert first.traceparent == second.traceparent != other.traceparent
    assert context_of(first.traceparent).trace_id == context_of(UPSTREAM.format("01")).trace_id


def test_work_caused_by_another_trace_stays_in_the_runs_trace_and_is_linked(exported):
    exported()
    theirs = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    with traces.processing({"traceparent": theirs.encode()}, {}, "decisions"):
        deciding = trace.get_current_span().get_span_context()
        with run_trace(UPSTREAM.format("01"), "run-1"):
            sent = trace_for_message("a")
    assert context_of(sent.traceparent).trace_id == context_of(UPSTREAM.format("01")).trace_id
    assert [context_of(link).span_id for link in sent.links] == [deciding.span_id]


def test_without_an_endpoint_nothing_is_recorded_and_the_trace_continues(monkeypatch):
    code = """
from prometheus_client import CollectorRegistry
from shared.telemetry.export import start_tracing
from shared.telemetry import traces
from shared.telemetry.propagation import trace_for_message
start_tracing("test", CollectorRegistry())
with traces.processing({"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {}, "t") as span:
    print(span.is_recording(), trace_for_message("a").traceparent.split("-")[1])
"""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.split() == ["False", "0af7651916cd43dd8448eb211c80319c"]
