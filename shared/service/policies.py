"""Policy files of a process, read once before anything starts: a wrong entry is refused by its name."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.access.principals import read_principals
from shared.access.tenants import read_tenants
from shared.authorization import read_gate
from shared.config import Settings
from shared.errors import Misconfigured
from shared.guardrails import read_policy


def load_policies(settings: Settings) -> None:
    """Read the files every service depends on; the readers keep them. Raises Misconfigured, a line for each file."""
    if problems := wrong_policies(settings):
        raise Misconfigured("\n".join(problems))


def wrong_policies(settings: Settings) -> list[str]:
    """Return a sentence for each of these files that cannot be used, beginning with its variable."""
    reads: list[Callable[[], object]] = [
        lambda: read_principals(settings.principals),
        lambda: read_policy(settings.guardrails),
        lambda: read_gate(settings.gate),
        lambda: read_tenants(settings.tenants),
    ]
    return [problem for read in reads for problem in _wrong(read)]


@contextmanager
def refusing_to_start() -> Iterator[None]:
    """Turn Misconfigured into the end of the process, with a sentence for each line of it."""
    try:
        yield
    except Misconfigured as why:
        sys.exit("\n".join(f"waggle cannot start: {problem}" for problem in str(why).splitlines()))


def _wrong(read: Callable[[], object]) -> list[str]:
    try:
        read()
    except Misconfigured as why:
        return [str(why).replace("\n", " ")]
    return []
