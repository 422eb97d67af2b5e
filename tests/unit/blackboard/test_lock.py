"""A lost lock ends the work done under it, even if the work misses a cancellation."""

import asyncio

import pytest

from shared.blackboard.lock import Lock
from shared.errors import BlackboardLost


class Lost:
    """A Redis in which another process holds the lock."""

    async def eval(self, *_):
        return 0


async def test_work_that_swallows_a_cancellation_ends_when_the_lock_is_lost():
    cancelled = []

    async def work():
        while len(cancelled) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
        raise asyncio.CancelledError

    lock = Lock(Lost(), "waggle:lock", "me", ttl=30)
    with pytest.raises(BlackboardLost, match="another holder"):
        await asyncio.wait_for(lock.during(work()), 10)
    assert len(cancelled) == 2
