"""The one door to Redis."""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004 -- these are Redis's own

OUTAGES: tuple[type[Exception], ...] = (ConnectionError, TimeoutError, BusyLoadingError)
"""Redis is away or not ready: the same call may work in a moment."""


Client = Any
"""A connected `redis.asyncio.Redis`. Its stubs mix bytes and str, so answers are typed where they are read."""


def connect(url: str) -> Client:
    """A client of the blackboard; it connects on first use. Raises ValueError for a URL that is none."""
    return Redis.from_url(url, decode_responses=True, socket_connect_timeout=5, socket_timeout=30)
