"""Structured logs: one line an event, readable on a terminal, JSON elsewhere.

What other libraries log goes the same way, but one line a minute for each cause: while Kafka is down, its client has
seventy a second to say. The same holds for lines of ours that are marked `SELDOM`. A line that is written while a
message is handled says whose it is: its run, step and tenant, and the span that is current.
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
"""Seconds between two lines of one cause."""

MOST_CAUSES = 1_000
"""Causes that are remembered: further ones, which no code has, are all taken for one."""

SELDOM: Mapping[str, Any] = {"seldom": True}
"""Fields of a line of ours that would be repeated for as long as something is wrong."""

_VARIES = re.compile(r"0x[0-9a-f]+|\d+")

_FIELDS = {"run": "run_id", "step": "step_id", "tenant": "tenant"}
"""Field of a line → attribute of a message."""


class Calm:
    """Lets one line a minute through for each cause, and says in the next how many it has held back."""

    def __init__(self, every: float = EVERY, now: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._now = now
        self._causes: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def suppressed(self, cause: Hashable) -> int | None:
        """How many lines of this cause were held back since its last one; None when this one is to be held back."""
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
        """Take part as a filter of a handler. A cause is what a library has in its code, with the failure's type."""
        failure = record.exc_info[0] if record.exc_info else None
        cause = record.name, record.levelno, _VARIES.sub("#", str(record.msg)[:300]), failure
        held = self.suppressed(cause)
        if held:
            record.msg, record.args = f"{record.getMessage()} [{held} more were suppressed]", None
        return held is not None

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- structlog calls processors so
        method: str,  # noqa: ARG002 -- as above
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        """Take part as a processor of structlog. Raises DropEvent."""
        if not event.pop("seldom", False):
            return event
        held = self.suppressed((event.get("event"), event.get("topic"), str(event.get("error", ""))[:40]))
        if held is None:
            raise structlog.DropEvent
        return {**event, "suppressed": held} if held else event


class _Handled(NamedTuple):
    """The message that is being handled. What a line says of it is looked up when one is written: few are."""

    message: Any
    run: str | None
    span: trace.SpanContext


_NOTHING = _Handled(None, None, trace.INVALID_SPAN_CONTEXT)
_handled: ContextVar[_Handled] = ContextVar("handled", default=_NOTHING)


@contextmanager
def handling() -> Iterator[None]:
    """What `about` says is said until the end of the block."""
    before = _handled.set(_NOTHING)
    try:
        yield
    finally:
        _handled.reset(before)


def about(message: Any, run: str | None = None) -> None:
    """Say in every line that `message` is being handled, in the span that is current now: also in lines after its end.

    `run`: the message's run, if it does not name one itself.
    """
    _handled.set(_Handled(message, run, trace.get_current_span().get_span_context()))


def start_logging(level: str, service: str, secrets: Iterable[str] = (), out: TextIO | None = None) -> None:
    """Configure the process's logging once, at start; `secrets` are shown nowhere. `out`: standard error.

    Raises ValueError for an unknown level.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"WAGGLE_LOG_LEVEL is {level!r}; use one of {', '.join(logging.getLevelNamesMapping())}")
    out = out or sys.stderr
    facts = _facts(service, Redaction(secrets))
    renderer = _renderer(out)
    structlog.configure(
        processors=[Calm(), *facts, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    _take_in(max(threshold, logging.WARNING), facts, renderer, out)


def _facts(service: str, redaction: Redaction) -> list[Processor]:
    """What every line goes through, ours or a library's, before it is rendered. Redaction is last: it sees all."""

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
    """Whose the message is that is being handled, and which span is current, or was while it was handled."""
    handled, span = _handled.get(), trace.get_current_span().get_span_context()
    place = {name: getattr(handled.message, attribute, None) for name, attribute in _FIELDS.items()}
    place["run"] = place["run"] or handled.run
    span = span if span.is_valid else handled.span
    if span.is_valid:
        place |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    return {name: value for name, value in place.items() if value}


def _renderer(out: TextIO) -> Processor:
    """Tracebacks are plain text: rich ones would show the values of variables."""
    if out.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()


def _take_in(threshold: int, facts: list[Processor], renderer: Processor, out: TextIO) -> None:
    """Let what aiokafka, uvicorn, httpx and others log go the same way."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *facts],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(Calm())
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    # FastStream warns at each start that topics are ours to make.
    logging.getLogger("waggle.bus").setLevel(logging.ERROR)
