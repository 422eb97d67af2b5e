"""Distributed lock with one holder at a time, until it is released or expires."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from shared.blackboard.connect import OUTAGES, Client
from shared.errors import BlackboardLost

T = TypeVar("T")

_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
"""Both check the holder: after the time limit the lock may belong to another process."""


_CANCEL_AGAIN = 5.0
"""Seconds a cancelled task has to clean up before it is cancelled once more."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One holder's handle of a lock."""

    redis: Client
    key: str
    token: str
    """Id of the holder."""
    ttl: int
    """Milliseconds until the lock expires, unless it is renewed."""

    async def take(self) -> bool:
        """Acquire the lock; return False if another holder has it."""
        return bool(await self.redis.set(self.key, self.token, nx=True, px=self.ttl))

    async def release(self) -> None:
        """Release the lock, if it is still held."""
        with suppress(*OUTAGES):  # the lock expires by itself, and the work done under it is complete
            await self.redis.eval(_RELEASE, 1, self.key, self.token)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the outcome of `work`, renewing the lock meanwhile. Raises BlackboardLost as soon as it is lost."""
        working, keeping = asyncio.create_task(work), asyncio.create_task(self._keep())
        try:
            await asyncio.wait((working, keeping), return_when=asyncio.FIRST_COMPLETED)
            return await working if working.done() else await keeping
        finally:
            working.cancel()
            keeping.cancel()
            await _ended(working, keeping)

    async def _keep(self) -> NoReturn:
        while True:
            await asyncio.sleep(self.ttl / 3_000)
            if not await self.redis.eval(_RENEW, 1, self.key, self.token, self.ttl):
                raise self.lost_error()

    def lost_error(self) -> BlackboardLost:
        """Return the error for a lost lock."""
        return BlackboardLost(
            f"the lock {self.key} is free or has another holder: this process did not renew it for "
            f"{self.ttl / 1000:g} s, or Redis was emptied; nothing more was written"
        )


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Return when cancelled tasks have ended: Python 3.11 loses a cancellation that meets the end of a `wait_for`."""
    while waiting := [each for each in tasks if not each.done()]:
        await asyncio.wait(waiting, timeout=_CANCEL_AGAIN)
        for each in waiting:
            each.cancel()
    for each in tasks:
        if not each.cancelled():
            each.exception()  # retrieved, or asyncio would log it: the caller raises the error that ended the work
