"""Log of this process, line by line."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from shared.telemetry.logs import start_logging


@contextmanager
def logging_as(service: str, *secrets: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log as this service does, until the end of the block; gives what returns the lines written so far."""
    out, root = io.StringIO(), logging.getLogger()
    before, handlers = root.level, root.handlers[:]
    start_logging("INFO", service, secrets, out)
    try:
        yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        logging.getLogger("waggle.bus").setLevel(logging.NOTSET)
        structlog.reset_defaults()
