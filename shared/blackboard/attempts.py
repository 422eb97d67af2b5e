"""Attempt counts of records from outside the swarm, whose own attempt header cannot be trusted."""

from dataclasses import dataclass

from shared.blackboard import keys
from shared.blackboard.connect import Client

_KEPT = 86_400
"""Seconds for which an attempt is remembered after the retry was due."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts for which records were scheduled. If Redis loses them, a record starts at its first attempt."""

    redis: Client

    async def put_back(self, fingerprint: str, attempt: int, after: float) -> None:
        """Remember that the record is retried as this attempt after `after` seconds."""
        await self.redis.set(keys.attempts(fingerprint), attempt, ex=int(after) + _KEPT)

    async def trusted_attempt(self, fingerprint: str, claimed: int) -> int:
        """Return the attempt a record claims, capped at the attempt that was scheduled for it."""
        known = await self.redis.get(keys.attempts(fingerprint))
        return min(claimed, max(1, int(known or 1)))
