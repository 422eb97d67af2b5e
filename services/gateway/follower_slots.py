"""Limits on concurrent followers of runs, per process and per key."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from services.gateway.dependencies import CallerDep
from services.gateway.errors import too_many, unavailable
from shared.blackboard import Followers

RETRY_AFTER = 5.0
"""Seconds after which a refused follower may retry."""


@dataclass(slots=True)
class FollowerSlots:
    """Slots of followers. Callers without a key share those of the process."""

    followers: Followers
    most: int
    most_by_key: int
    _taken: Counter[str | None] = field(default_factory=Counter)

    @contextmanager
    def slot(self, caller: str | None) -> Iterator[Followers]:
        """Hold a slot. Raises Refused: 429 if the key has used up its own, 503 if the process is full."""
        if caller is not None and self._taken[caller] >= self.most_by_key:
            raise too_many(f"`{caller}` already follows {self.most_by_key} runs", RETRY_AFTER)
        if self._taken.total() >= self.most:
            raise unavailable(
                "too_many_followers", f"this gateway already serves {self.most} followers", wait=RETRY_AFTER
            )
        self._taken[caller] += 1
        try:
            yield self.followers
        finally:
            self._taken[caller] -= 1
            self._taken += Counter()


async def slot_of(request: Request, caller: CallerDep) -> AsyncIterator[Followers]:
    """Hold a slot until the answer has ended."""
    slots: FollowerSlots = request.app.state.follower_slots
    with slots.slot(caller.name) as followers:
        yield followers


FollowersDep = Annotated[Followers, Depends(slot_of)]
