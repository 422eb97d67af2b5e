"""One at a time: who holds a name keeps everybody else from it, until done or until a time is up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from shared.blackboard.connect import OUTAGES, Client
from shared.errors import RetryableError

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
"""Only by whoever holds it: after the time it may be another's."""


@asynccontextmanager
async def alone(redis: Client, key: str, seconds: float, what: str) -> AsyncIterator[None]:
    """Hold the key for as long as the block takes, at most so many seconds: see to it that the block ends earlier.

    Raises RetryableError `busy` at once when somebody else holds it.
    """
    token = uuid4().hex
    if not await redis.set(key, token, nx=True, px=int(seconds * 1000)):
        raise RetryableError(f"somebody else is dealing with {what} right now", after=1.0, code="busy")
    try:
        yield
    finally:
        with suppress(*OUTAGES):  # it ends by itself, and what was done inside stays done
            await redis.eval(_RELEASE, 1, key, token)
