"""Structured logs: one line per event, readable on a terminal, JSON elsewhere.

Log lines of libraries take the same path, limited to one a minute per cause: while Kafka is down, its client writes
seventy a second. The same limit applies to our own lines marked `SELDOM`. A line written while a message is handled
carries its run, step and tenant, and the current span.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import Processor

from shared.telemetry.redaction import Redaction

EVERY = 60.0
"""Seconds between two lines with one cause."""

MOST_CAUSES = 1_000
"""Causes remembered; beyond that, more than the code can produce, all count as one."""

SELDOM: Mapping[str, Any] = {"seldom": True}
"""Marks a line that would repeat for as long as an outage lasts."""

_VARIES = re.compile(r"0x[0-9a-f]+|\d+")

_FIELDS = {"run": "run_id", "step": "step_id", "tenant": "tenant"}
"""Field of a line → attribute of a message."""


class LogRateLimiter:
    """Lets one line a minute through per cause, and reports in the next how many were suppressed."""

    def __init__(self, every: float = EVERY, now: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._now = now
        self._causes: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def suppressed(self, cause: Hashable) -> int | None:
        """Return the number of lines suppressed since the cause's last one; None if this one is to be suppressed."""
        with self._lock:
            if cause not in self._causes and len(self._causes) >= MOST_CAUSES:
                cause = None
            last, held = self._causes.get(cause, (-self._every, 0))
            if self._now() - last < self._every:
                self._causes[cause] = last, held + 1
                return None
            self._causes[cause] = self._now(), 0
            return held

    def filter(self, record: logging.LogRecord) -> bool:
        """Filter of a logging handler. A cause is the message template in a library's code plus the exception type."""
        failure = record.exc_info[0] if record.exc_info else None
        cause = record.name, record.levelno, _VARIES.sub("#", str(record.msg)[:300]), failure
        held = self.suppressed(cause)
        if held:
            record.msg, record.args = f"{record.getMessage()} [{held} more were suppressed]", None
        return held is not None

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- signature of structlog processors
        method: str,  # noqa: ARG002 -- as above
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        """Processor of structlog. Raises DropEvent."""
        if not event.pop("seldom", False):
            return event
        held = self.suppressed((event.get("event"), event.get("topic"), str(event.get("error", ""))[:40]))
        if held is None:
            raise structlog.DropEvent
        return {**event, "suppressed": held} if held else event


class _Handled(NamedTuple):
    """The message being handled. Its fields are looked up only when a line is written, which is rare."""

    message: Any
    run: str | None
    span: trace.SpanContext


_NOTHING = _Handled(None, None, trace.INVALID_SPAN_CONTEXT)
_handled: ContextVar[_Handled] = ContextVar("handled", default=_NOTHING)


@contextmanager
def handling() -> Iterator[None]:
    """Scope of `bind_message`: its fields are dropped at the end of the block."""
    before = _handled.set(_NOTHING)
    try:
        yield
    finally:
        _handled.reset(before)


def bind_message(message: Any, run: str | None = None) -> None:
    """Add the message's fields and the current span to every further line, even after the span has ended.

    `run`: the message's run, if it does not name one itself.
    """
    _handled.set(_Handled(message, run, trace.get_current_span().get_span_context()))


def start_logging(level: str, service: str, secrets: Iterable[str] = (), out: TextIO | None = None) -> None:
    """Configure the process's logging once, at start; `secrets` are redacted. `out` defaults to standard error.

    Raises ValueError for an unknown level.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"WAGGLE_LOG_LEVEL is {level!r}; use one of {', '.join(logging.getLevelNamesMapping())}")
    out = out or sys.stderr
    facts = _facts(service, Redaction(secrets))
    renderer = _renderer(out)
    structlog.configure(
        processors=[LogRateLimiter(), *facts, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
    )

    _capture_libraries(max(threshold, logging.WARNING), facts, renderer, out)


def _facts(service: str, redaction: Redaction) -> list[Processor]:
    """Return the processors of every line, ours or a library's. Redaction is last, so that it sees everything."""

    def placed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, **{name: value for name, value in _place().items() if name not in event}, "service": service}

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        placed,
        structlog.processors.format_exc_info,
        redaction,
    ]


def _place() -> dict[str, str]:
    """Return the run, step and tenant of the message being handled, and the current span or else the message's."""
    handled, span = _handled.get(), trace.get_current_span().get_span_context()
    place = {name: getattr(handled.message, attribute, None) for name, attribute in _FIELDS.items()}
    place["run"] = place["run"] or handled.run
    span = span if span.is_valid else handled.span
    if span.is_valid:
        place |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    return {name: value for name, value in place.items() if value}


def _renderer(out: TextIO) -> Processor:
    """Render tracebacks as plain text: rich ones would show the values of variables."""
    if out.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()


def _capture_libraries(threshold: int, facts: list[Processor], renderer: Processor, out: TextIO) -> None:
    """Route the logs of aiokafka, uvicorn, httpx and other libraries the same way."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *facts],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(LogRateLimiter())
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    # FastStream warns at each start that it does not create topics.
    logging.getLogger("waggle.bus").setLevel(logging.ERROR)
