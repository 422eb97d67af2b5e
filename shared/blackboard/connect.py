"""The one door to Redis."""

from typing import Any

from redis.exceptions import BusyLoadingError, ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError  # noqa: A004 -- these are Redis's own

from shared.errors import BlackboardLost


class TakesNoWrites(ConnectionError):
    """Redis answers, but refuses what a script has to write: it is full, its disk is, or it is a replica."""


REFUSALS = ("OOM ", "MISCONF ", "READONLY ", "NOREPLICAS ", "MASTERDOWN ", "LOADING ")
"""How Redis begins to say so. Inside a script it is no error type of its own, only text."""

CONNECTION_OUTAGES: tuple[type[Exception], ...] = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
)
"""Redis is away, not ready, or takes no writes: the same call may work in a moment."""

OUTAGES: tuple[type[Exception], ...] = (*CONNECTION_OUTAGES, BlackboardLost)
"""Redis is away, or what it holds is not to be trusted until it was rebuilt."""


Client = Any
"""A connected `redis.asyncio.Redis`. Its stubs mix bytes and str, so answers are typed where they are read."""
