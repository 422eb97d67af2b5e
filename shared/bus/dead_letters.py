"""Where records go that nobody can work on: the dead-letter topic, with their bytes and the reason."""

import base64
import json
from datetime import datetime
from importlib.metadata import version
from typing import Any

from shared.bus.record import header_map
from shared.errors import WaggleError

SUFFIX = ".dlt"

CAUSES = "waggle-causes"
"""Header of a record that is tried again: a JSON list of why it was, oldest first."""


def dead_letter_headers(
    record: Any, error: WaggleError, *, service: str, attempts: int, now: datetime
) -> dict[str, str]:
    """Where the record came from and why it could not be worked on.

    Its own headers are kept byte for byte in `dlt-headers`: a JSON list of `[name, base64]`.
    """
    original = [[name, base64.b64encode(value or b"").decode()] for name, value in record.headers]
    trace = header_map(record.headers).get("traceparent", b"").decode(errors="replace")
    return {
        "dlt-topic": record.topic,
        "dlt-partition": str(record.partition),
        "dlt-offset": str(record.offset),
        "dlt-key": base64.b64encode(record.key or b"").decode(),
        "dlt-headers": json.dumps(original),
        "dlt-error": error.code,
        "dlt-message": str(error),
        "dlt-attempts": str(attempts),
        "dlt-causes": header_map(record.headers).get(CAUSES, b"[]").decode(errors="replace"),
        "dlt-service": service,
        "dlt-version": version("waggle"),
        "dlt-time": now.isoformat(),
        "traceparent": trace,
    }
