"""Lines of a start that look like damage and are none: they are in the log files, not on the terminal."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_OF_SERVERS: Mapping[str, re.Pattern[str]] = {
    "redis": re.compile(r"\d+:[CMSX] "),  # its log: banner, configuration, advice about this machine's memory
    "kafka": re.compile(r"%[4-7]\|"),  # librdkafka at level warning or below: advice about its configuration
}
"""Embedded server → the form of its own lines. Should it not become ready, the error has the end of its log."""

_OF_EMPTY_BLACKBOARD = frozenset({"blackboard_not_verified", "rebuild_started", "blackboard_rebuilt"})
"""Events of a service that finds no blackboard, which is always so where nothing has run before."""


@dataclass(slots=True)
class StartLines:
    """Filter of lines until the stack is ready."""

    fresh: bool
    """True if neither Kafka nor Redis can have data: both are embedded, and start empty."""
    ready: bool = False

    def hides(self, name: str, line: str) -> bool:
        """Return True for a line of a process that belongs in its log file only."""
        if self.ready:
            return False
        form = _OF_SERVERS.get(name)
        if form is not None and form.match(line):
            return True
        return self.fresh and _event(line) in _OF_EMPTY_BLACKBOARD


def starting_in(environment: Mapping[str, str]) -> StartLines:
    """Return the filter of a stack with this environment."""
    given = (environment.get(name, "").strip() for name in ("WAGGLE_KAFKA", "WAGGLE_REDIS"))
    return StartLines(fresh=not any(given))


def _event(line: str) -> object:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry.get("event") if isinstance(entry, dict) else None
