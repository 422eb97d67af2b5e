"""One at a time: who holds a name keeps everybody else from it, until done or until a time is up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from shared.blackboard.connect import Client
from shared.blackboard.lock import Lock
from shared.errors import RetryableError


@asynccontextmanager
async def alone(redis: Client, key: str, seconds: float, what: str) -> AsyncIterator[None]:
    """Hold the key for as long as the block takes, at most so many seconds: see to it that the block ends earlier.

    Raises RetryableError `busy` at once when somebody else holds it.
    """
    lock = Lock(redis, key, uuid4().hex, int(seconds * 1000))
    if not await lock.take():
        raise RetryableError(f"somebody else is dealing with {what} right now", after=1.0, code="busy")
    try:
        yield
    finally:
        await lock.release()
