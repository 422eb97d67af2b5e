"""What became of dead letters: the compacted topic that remembers who did what."""

from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition

from schemas.dead import DeadLetterHandled
from shared.bus.admin.topic_reader import Past
from shared.bus.dead.letters import DeadLetter
from shared.bus.record import decode
from shared.errors import InvalidMessage

ACTIONS = "dead.actions"

log = structlog.get_logger()


@dataclass(slots=True)
class Actions:
    """The last word on each dead letter."""

    past: Past
    _last: dict[str, DeadLetterHandled] = field(default_factory=dict)
    _reached: dict[TopicPartition, int] = field(default_factory=dict)

    async def refresh(self) -> None:
        """Read what was recorded since the last time."""
        for partition in self.past.partitions.get(ACTIONS, ()):
            first, end = await self.past.held(partition)
            async for record in self.past.between(partition, max(first, self._reached.get(partition, 0)), end):
                self._take(record)
            self._reached[partition] = end

    def on(self, letter: DeadLetter) -> DeadLetterHandled | None:
        """What was done about this very letter, not about one of the same name in a topic since made anew."""
        found = self._last.get(letter.name)
        return found if found is not None and found.died == letter.at else None

    def _take(self, record: object) -> None:
        try:
            message = decode(record, self.past.prefix).message
        except InvalidMessage as unreadable:
            log.warning("an unreadable record among the actions on dead letters", error=str(unreadable))
            return
        if isinstance(message, DeadLetterHandled):
            self._last[message.name] = message
