"""Agents that the orchestrator knew at a moment, from their announcements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.event import RunEvent
from schemas.plan import AgentCard
from schemas.step_events import StepDispatched
from schemas.versions import Versions


class Announced(NamedTuple):
    """One announcement."""

    at: datetime
    card: AgentCard


@dataclass(frozen=True, slots=True)
class AgentsKnown:
    """Announcements of all agents, oldest first. The topic is compacted: older ones may be missing."""

    announced: Sequence[Announced] = field(default_factory=list)

    @classmethod
    def always(cls, cards: Iterable[AgentCard]) -> "AgentsKnown":
        """Return a history in which these agents were known from the start."""
        return cls([Announced(datetime.min.replace(tzinfo=UTC), card) for card in cards])

    def at(self, moment: datetime, events: Iterable[RunEvent]) -> list[Mapping[str, AgentCard]]:
        """Return the registries that may have been known then, the likeliest first.

        A handoff in `events` names the versions that its agent had announced.
        """
        before = {each.card.name: each.card for each in self.announced if each.at <= moment}
        ever = {each.card.name: each.card for each in reversed(self.announced)} | before
        versions = {each.agent: each.versions for each in events if isinstance(each, StepDispatched)}
        found: list[Mapping[str, AgentCard]] = []
        for known in (ever, before):
            cards = {name: self._with_versions(known[name], versions.get(name)) for name in sorted(known)}
            if cards not in found:
                found.append(cards)
        return found

    def _with_versions(self, card: AgentCard, versions: Versions | None) -> AgentCard:
        if versions is None or card.versions == versions:
            return card
        same = (each.card for each in self.announced if each.card.name == card.name and each.card.versions == versions)
        return next(same, card.model_copy(update={"versions": versions}))
