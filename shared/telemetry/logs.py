"""Structured logs: one line an event, readable on a terminal, JSON elsewhere."""

import logging
import sys

import structlog


def start_logging(level: str, service: str) -> None:
    """Configure the process's logging once, at start. Raises ValueError for an unknown level."""
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"WAGGLE_LOG_LEVEL is {level!r}; use one of {', '.join(logging.getLevelNamesMapping())}")
    logging.basicConfig(level=max(threshold, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("waggle.bus").setLevel(
        logging.ERROR
    )  # FastStream warns at each start that topics are ours to make
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
