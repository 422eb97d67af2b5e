"""Recording: each ended run of the log becomes memories on the topic `memories`.

They are published before the record's offset is committed. After a crash in between they are derived once more: the
same, under the same ids, and only what Postgres neither has nor refuses is published.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.memory import Memory
from schemas.memory_log import ForgettingOrdered, MemoryForgotten, MemoryKept, TurnNoted
from services.memory.deriving import memories_of
from services.memory.rated import after_feedback, feedback_in
from services.memory.settings import MemorySettings
from shared.bus import Record, encode, publish
from shared.bus.groups import MEMORY
from shared.memory.view import MemoryView
from shared.service import Parts
from shared.service.ended_runs import Ended, EndedRuns

SOURCE = f"waggle/{MEMORY}"

DERIVED = "derived from the log"

FILL_PAUSE = 0.5
"""Seconds between two looks for a store that is being filled."""

Recorded = MemoryKept | MemoryForgotten | ForgettingOrdered | TurnNoted

AfterRun = Callable[[Ended, Sequence[Memory]], Awaitable[None]]
"""Called with each ended run and its memories, once Kafka has them and before the offset is committed; a
record delivered once more calls it once more."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Turns records of the run log into memories."""

    parts: Parts
    settings: MemorySettings
    view: MemoryView
    runs: EndedRuns
    after_run: Sequence[AfterRun] = ()

    async def record(self, record: Any) -> None:
        """Publish the memories of the run that a record ends."""
        ended = await self.runs.follow(record)
        if ended is None:
            await self._take_feedback(record)
            return
        memories = memories_of(ended, self.settings)
        await self.publish(await self._missing(ended.run.tenant, memories), DERIVED)
        for act in self.after_run:
            await act(ended, memories)

    async def _take_feedback(self, record: Any) -> None:
        """Publish what people's feedback changes about the plans that worked."""
        for each in feedback_in(record, self.parts.settings.topic_prefix):
            await send(self.parts, await after_feedback(self.view, each))

    async def _missing(self, tenant: str, memories: Sequence[Memory]) -> list[Memory]:
        """Return the memories that are neither stored nor refused, once the store is filled from the topic.

        Until then it knows no correction and nothing forgotten: a memory published now would outlive both.
        """
        while True:
            missing = await self.view.missing(tenant, memories)
            if await self.view.is_filled():  # asked last: the store may be emptied in between
                return missing
            await asyncio.sleep(FILL_PAUSE)

    async def publish(self, memories: Sequence[Memory], reason: str) -> None:
        """Publish memories of the service, and return when Kafka has them."""
        await send(self.parts, [MemoryKept(memory=each, by=MEMORY, reason=reason) for each in memories])


async def send(parts: Parts, messages: Sequence[Recorded]) -> None:
    """Publish messages on `memories`, and return when Kafka has them."""
    if messages:
        await publish(parts.broker, [_record(each, parts.settings.topic_prefix) for each in messages])


def _record(message: Recorded, prefix: str) -> Record:
    id = f"{message.key}/{_version(message)}"
    return encode(message, id=id, source=SOURCE, prefix=prefix, now=datetime.now(UTC), key=message.key, shown=False)


def _version(message: Recorded) -> str:
    match message:
        case MemoryKept():
            return str(message.memory.version)
        case TurnNoted():
            return "waiting" if message.done is None else "done"
    return "forgotten"
