"""A receiver of OTLP over HTTP: keeps every span it is sent, and shows a trace as a tree."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it came over the wire."""

    trace: str
    id: str
    parent: str
    name: str
    service: str
    kind: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[str, ...]
    events: tuple[str, ...]
    start: int
    end: int
    scope: str = ""
    """Library that made it."""
    text: str = ""
    """All of it."""


@dataclass(slots=True)
class Received:
    """The spans that came so far."""

    url: str
    spans: list[Span] = field(default_factory=list)
    refusing: bool = False
    """Answer 503 to everything."""

    def of_run(self, run_id: str) -> list[Span]:
        """The spans of the traces the run is in."""
        traces = {span.trace for span in self.spans if span.attributes.get("waggle.run") == run_id}
        return [span for span in self.spans if span.trace in traces]


def tree(spans: list[Span]) -> list[Any]:
    """`[name, …children]` for each span without a parent, children in the order they began."""
    ids = {span.id for span in spans}
    roots = [span for span in spans if span.parent not in ids]
    return [_below(root, spans) for root in sorted(roots, key=lambda span: span.start)]


def _below(span: Span, spans: list[Span]) -> list[Any]:
    children = sorted((each for each in spans if each.parent == span.id), key=lambda each: each.start)
    return [span.name + (" FAILED" if span.failed else ""), *(_below(each, spans) for each in children)]


def drawn(trees: list[Any], indent: str = "") -> str:
    """A tree for people."""
    return "".join(f"{indent}{name}\n{drawn(children, indent + '  ')}" for name, *children in trees)


@contextmanager
def receiver() -> Iterator[Received]:
    """Receive for as long as a block."""
    received = Received("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if received.refusing:
                self.send_response(503)
            else:
                received.spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _read(request: Any) -> Iterator[Span]:
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    service=service,
                    kind=span.kind,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes=_attributes(span.attributes),
                    links=tuple(link.span_id.hex() for link in span.links),
                    events=tuple(event.name for event in span.events),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    scope=scope.scope.name,
                    text=str(span),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which)
