"""Noting: each ended run is a turn that waits for its facts to be extracted, on the topic `memories`.

While facts are off nothing is noted: words that no one will read are not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.memory import Memory
from schemas.question_events import HelpAnswered
from services.memory.recording import send
from shared.memory.facts import noted
from shared.memory.facts.settings import FactSettings, off_because
from shared.memory.turns import WaitingTurns
from shared.service import Parts
from shared.service.ended_runs import Ended


@dataclass(frozen=True, slots=True)
class Noting:
    """Publishes turns."""

    parts: Parts
    turns: WaitingTurns
    own: FactSettings

    async def after_run(self, ended: Ended, _: Sequence[Memory]) -> None:
        """Publish the turn of a run, unless it was applied before or facts are off."""
        if off_because(self.parts.settings, self.own):
            return
        votes = [vote for each in ended.events if isinstance(each, HelpAnswered) for vote in each.votes]
        turn = noted(ended.run, ended.source(0), votes)
        if turn is not None and not await self.turns.is_known(turn):
            await send(self.parts, [turn])
