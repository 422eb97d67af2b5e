"""One at a time, among all replicas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from shared.blackboard import keys
from shared.blackboard.connect import Client

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


@asynccontextmanager
async def lock(redis: Client, name: str, seconds: float = 30.0) -> AsyncIterator[bool]:
    """Whether the lock of that name could be had; it ends with the block, or after so many seconds with its owner."""
    owner, key = uuid4().hex, keys.lock(name)
    had = bool(await redis.set(key, owner, nx=True, px=int(seconds * 1_000)))
    try:
        yield had
    finally:
        if had:
            await redis.eval(_RELEASE, 1, key, owner)
