"""Facts of sessions on the blackboard: a view of the memories, written by the service that keeps them.

A task is given them for turns that it is no longer given whole. Their key may outlive the session: only facts of turns
that the session still has are read.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field, TypeAdapter

from schemas.conversation import ConversationFact
from schemas.message import Instant
from shared.blackboard import keys
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel

_WRITE = script("facts")

KEPT_FACTS = 60
"""Facts of a session that are kept on the blackboard."""

_LIFETIME = timedelta(days=28)
"""As long as a turn is part of a conversation, at most."""


class SessionFact(ConversationFact):
    """A fact as it is kept, with what decides whether a task is given it."""

    importance: float = Field(ge=0, le=1)
    valid_until: Instant | None = None


_FACTS = TypeAdapter(list[SessionFact])


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """Writes the facts of sessions."""

    sentinel: Sentinel

    async def replace(self, tenant: str, session: str, facts: Sequence[SessionFact]) -> None:
        """Replace the facts of a session by these, the most important ones if they are many. Raises BlackboardLost."""
        kept = sorted(facts, key=lambda each: (-each.importance, -each.at.timestamp(), each.content))[:KEPT_FACTS]
        by_run = defaultdict[str, list[SessionFact]](list)
        for each in kept:
            by_run[each.run_id].append(each)
        arguments: list[str | int] = [self.sentinel.generation, int(_LIFETIME.total_seconds() * 1000)]
        for run_id, found in by_run.items():
            arguments += [run_id, _FACTS.dump_json(found, exclude_defaults=True).decode()]
        where = [keys.session_facts(tenant, session), keys.SENTINEL]
        if await self.sentinel.scripts.run(_WRITE, where, arguments) == "lost":
            self.sentinel.mark_lost()


def read_facts(stored: Sequence[str], now: datetime) -> list[SessionFact]:
    """Return the facts of turns as stored that are valid now, the most important first."""
    found = [fact for each in stored for fact in _FACTS.validate_json(each)]
    valid = [each for each in found if each.valid_until is None or each.valid_until > now]
    return sorted(valid, key=lambda each: (-each.importance, -each.at.timestamp(), each.content))
