"""What was done for a handoff, entry by entry, so that a redelivery goes on instead of beginning again."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from shared.blackboard import keys
from shared.blackboard.connect import Client


class Journal:
    """The entries of one handoff. Each is written once, right after what it records, and is small: a delta."""

    def __init__(self, redis: Client, tenant: str, handoff_id: str, ttl: float) -> None:
        self._redis = redis
        self._key = keys.journal(tenant, handoff_id)
        self._ttl = int(ttl)
        self._entries: dict[str, str] = {}

    async def open(self) -> "Journal":
        """Read what an earlier delivery left."""
        self._entries = await self._redis.hgetall(self._key)
        return self

    def __contains__(self, name: str) -> bool:
        """Whether `name` is recorded."""
        return name in self._entries

    async def once(self, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """The recorded outcome of `name`; if there is none, act and record it. The outcome must be JSON-ready."""
        if name in self._entries:
            return json.loads(self._entries[name])
        outcome = await act()
        await self.write(name, outcome)
        return outcome

    async def write(self, name: str, outcome: Any) -> None:
        """Record an entry."""
        self._entries[name] = json.dumps(outcome)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._key, name, self._entries[name])
            pipe.expire(self._key, self._ttl)
            await pipe.execute()

    def entries(self) -> dict[str, Any]:
        """Everything recorded, by name."""
        return {name: json.loads(entry) for name, entry in self._entries.items()}
