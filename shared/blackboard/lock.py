"""A name that one holder has at a time, until it is given back or its time is up."""

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
"""Only by whoever holds it: after the time it may be another's."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One holder's view of it."""

    redis: Client
    key: str
    token: str
    """Names the holder."""
    ttl: int
    """Milliseconds it is held unless it is renewed."""

    async def take(self) -> bool:
        """Hold it from now on; False when somebody else does."""
        return bool(await self.redis.set(self.key, self.token, nx=True, px=self.ttl))

    async def release(self) -> None:
        """Give it back, if it is still held."""
        with suppress(*OUTAGES):  # it ends by itself, and what was done under it stays done
            await self.redis.eval(_RELEASE, 1, self.key, self.token)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's outcome; the lock is renewed until it is there. Raises BlackboardLost at once when it is lost."""
        working, keeping = asyncio.create_task(work), asyncio.create_task(self._keep())
        try:
            await asyncio.wait((working, keeping), return_when=asyncio.FIRST_COMPLETED)
            return await working if working.done() else await keeping
        finally:
            working.cancel()
            keeping.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    async def _keep(self) -> NoReturn:
        while True:
            await asyncio.sleep(self.ttl / 3_000)
            if not await self.redis.eval(_RENEW, 1, self.key, self.token, self.ttl):
                raise self.lost()

    def lost(self) -> BlackboardLost:
        """The error that says so."""
        return BlackboardLost(
            f"{self.key} is held by nobody or by somebody else now: this process did not renew it for "
            f"{self.ttl / 1000:g} s, or Redis was emptied; nothing more was written"
        )
