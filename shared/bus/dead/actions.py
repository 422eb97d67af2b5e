"""Log of redriven and discarded dead letters: a compacted topic with the last action and its operator."""

from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition

from schemas.dead import DeadLetterHandled
from shared.bus.admin.topic_reader import TopicReader
from shared.bus.dead.letters import DeadLetter
from shared.bus.record import decode
from shared.errors import InvalidMessage

ACTIONS = "dead.actions"

log = structlog.get_logger()


@dataclass(slots=True)
class Actions:
    """The last action on each dead letter."""

    reader: TopicReader
    _last: dict[str, DeadLetterHandled] = field(default_factory=dict)
    _reached: dict[TopicPartition, int] = field(default_factory=dict)

    async def refresh(self) -> None:
        """Read actions recorded since the last refresh."""
        for partition in self.reader.partitions.get(ACTIONS, ()):
            first, end = await self.reader.bounds(partition)
            async for record in self.reader.between(partition, max(first, self._reached.get(partition, 0)), end):
                self._take(record)
            self._reached[partition] = end

    def on(self, letter: DeadLetter) -> DeadLetterHandled | None:
        """Return the action on this letter, ignoring an older one of its name from before a topic was recreated."""
        found = self._last.get(letter.name)
        return found if found is not None and found.died == letter.at else None

    def _take(self, record: object) -> None:
        try:
            message = decode(record, self.reader.prefix).message
        except InvalidMessage as unreadable:
            log.warning("dead_letter_action_unreadable", error=str(unreadable))
            return
        if isinstance(message, DeadLetterHandled):
            self._last[message.name] = message
