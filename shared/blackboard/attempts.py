"""How often records were tried that came from outside the swarm: what they say of it themselves proves nothing."""

from dataclasses import dataclass

from shared.blackboard import keys
from shared.blackboard.connect import Client

_KEPT = 86_400
"""Seconds for which an attempt is known after the record was due again."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts for which records were put back. When Redis loses them, a record has all its attempts again."""

    redis: Client

    async def put_back(self, fingerprint: str, attempt: int, after: float) -> None:
        """Remember that the record comes back for this attempt after so many seconds."""
        await self.redis.set(keys.attempts(fingerprint), attempt, ex=int(after) + _KEPT)

    async def believed(self, fingerprint: str, claimed: int) -> int:
        """Return the attempt that a record claims, as far as it was put back for it."""
        known = await self.redis.get(keys.attempts(fingerprint))
        return min(claimed, max(1, int(known or 1)))
