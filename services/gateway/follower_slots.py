"""How many may follow runs at once: in this process, and by each key."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from services.gateway.dependencies import CallerDep
from services.gateway.errors import too_many, unavailable
from shared.blackboard import Followers

AGAIN_AFTER = 5.0
"""Seconds after which one who was refused may try again."""


@dataclass(slots=True)
class FollowerSlots:
    """Slots of followers. Callers without a key share what the process has."""

    followers: Followers
    most: int
    most_by_key: int
    _taken: Counter[str | None] = field(default_factory=Counter)

    @contextmanager
    def slot(self, who: str | None) -> Iterator[Followers]:
        """Hold one place. Raises Refused: 429 when the key has all it may have, 503 when the process is full."""
        if who is not None and self._taken[who] >= self.most_by_key:
            raise too_many(f"`{who}` follows {self.most_by_key} runs at once already", AGAIN_AFTER)
        if self._taken.total() >= self.most:
            raise unavailable(
                "too_many_followers", f"{self.most} runs are followed here at once already", wait=AGAIN_AFTER
            )
        self._taken[who] += 1
        try:
            yield self.followers
        finally:
            self._taken[who] -= 1
            self._taken += Counter()


async def slot_of(request: Request, caller: CallerDep) -> AsyncIterator[Followers]:
    """Hold a place until the answer has ended."""
    slots: FollowerSlots = request.app.state.follower_slots
    with slots.slot(caller.name) as followers:
        yield followers


FollowersDep = Annotated[Followers, Depends(slot_of)]
