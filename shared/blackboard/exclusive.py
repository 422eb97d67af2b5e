"""Mutual exclusion between processes: a named lock with a time limit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from shared.blackboard.connect import Client
from shared.blackboard.lock import Lock
from shared.errors import RetryableError


@asynccontextmanager
async def exclusive(redis: Client, key: str, seconds: float, what: str) -> AsyncIterator[None]:
    """Hold the lock `key` during the block, for at most `seconds`; the block must end earlier.

    Raises RetryableError `busy` immediately when another caller holds it.
    """
    lock = Lock(redis, key, uuid4().hex, int(seconds * 1000))
    if not await lock.take():
        raise RetryableError(f"{what} is locked by another caller", after=1.0, code="busy")
    try:
        yield
    finally:
        await lock.release()
