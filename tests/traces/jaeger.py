"""A Jaeger of our own, run on free ports."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from infra.probe import free_port
from tests.support.otlp import Span

CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
    logs: {{level: error}}
extensions:
  jaeger_storage: {{backends: {{kept: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: kept}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: kept}}
"""


@contextmanager
def running(program: Path) -> Iterator[tuple[str, str]]:
    """Addresses: spans by OTLP over HTTP, and queries for traces."""
    ports = {name: free_port() for name in ("query", "grpc", "otlp")}
    with TemporaryDirectory() as folder:
        config = Path(folder) / "jaeger.yaml"
        config.write_text(CONFIG.format(**ports))
        untraced = os.environ | {"OTEL_TRACES_SAMPLER": "always_off"}  # itself
        server = subprocess.Popen([program, "--config", str(config)], env=untraced)
        try:
            query = f"http://127.0.0.1:{ports['query']}"
            _await(server, f"{query}/api/services")
            yield f"http://127.0.0.1:{ports['otlp']}", query
        finally:
            server.kill()  # it holds nothing
            server.wait()


def _await(server: subprocess.Popen, url: str) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError("Jaeger has ended; see above")
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("Jaeger does not answer")


def trace_of(query: str, run_id: str) -> list[Span]:
    """The spans of a run's trace, as Jaeger's API has them."""
    tags = {"service": "waggle-orchestrator", "tags": f'{{"waggle.run":"{run_id}"}}', "lookback": "1h"}
    traces = httpx.get(f"{query}/api/traces", params=tags).raise_for_status().json()["data"]
    assert len(traces) == 1, f"the run is in {len(traces)} traces"
    services = {id: process["serviceName"] for id, process in traces[0]["processes"].items()}
    return [_span(each, services[each["processID"]]) for each in traces[0]["spans"]]


def _span(found: dict[str, Any], service: str) -> Span:
    attributes = {tag["key"]: tag["value"] for tag in found["tags"]}
    references = found.get("references", [])
    start = found["startTime"] * 1_000
    return Span(
        trace=found["traceID"],
        id=found["spanID"],
        parent=next((each["spanID"] for each in references if each["refType"] == "CHILD_OF"), ""),
        name=found["operationName"],
        service=service,
        kind=0,
        failed=bool(attributes.get("error", False)),
        attributes=attributes,
        links=tuple(each["spanID"] for each in references if each["refType"] != "CHILD_OF"),
        events=(),
        start=start,
        end=start + found["duration"] * 1_000,
    )
