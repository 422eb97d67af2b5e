"""Conversations on the blackboard: the turns of each session of a tenant, a view of the run log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas.conversation import EARLIER_TURNS, RECENT_TURNS, Conversation, ConversationTurn, SessionEnd
from shared.blackboard import keys
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.session_facts import SessionFact, read_facts
from shared.runs import Run
from shared.runs.conversation import conversation_of, turn_of

_READ = script("turns")

KEPT = 50
"""Latest turns of a session that are kept; older ones are counted."""

COUNTED = 10_000
"""Turns of a session that are counted."""

OLDEST = timedelta(days=28)
"""Age of a turn that is left out: it is below the retention of `runs.log`, so that a rebuild finds all others."""

_IN_PROGRESS = 10
"""Turns read beyond those that a task is given, since some may not have ended."""


class Session(NamedTuple):
    """One session, since its last end."""

    name: str
    turns: list[ConversationTurn]
    """Its latest turns, oldest first."""
    total: int
    """Number of its turns, including those that are not kept."""
    ended: SessionEnd | None
    """Its last end; with turns, they came after it."""
    expires: datetime
    facts: Sequence[SessionFact] = ()
    """Facts of its turns, the most important first."""


def turn_keys(run: Run) -> list[str]:
    """Return the keys that the script `turn` writes for a run of a session."""
    session = run.task.session or ""
    return [keys.session_turns(run.tenant, session), keys.session_order(run.tenant, session), keys.sessions(run.tenant)]


def turn_arguments(run: Run, at: datetime, ttl: float) -> list[str | int]:
    """Return the arguments of the script `turn` for a run of a session. `at`: time of the change."""
    end = "" if run.session_end is None else run.session_end.model_dump_json()
    turn = turn_of(run).model_dump_json(exclude_defaults=True)
    return [run.task.session or "", run.id, _ms(run.started), turn, _ms(at), int(ttl * 1000), KEPT, COUNTED, end]


@dataclass(frozen=True, slots=True)
class Conversations:
    """Reads the sessions of tenants."""

    sentinel: Sentinel

    async def given(self, tenant: str, session: str, run_id: str) -> Conversation:
        """Return what a task is given of its session. Raises BlackboardLost."""
        found = await self.session(tenant, session, RECENT_TURNS + EARLIER_TURNS + _IN_PROGRESS)
        if found is None:
            return Conversation(session=session)
        return conversation_of(session, found.turns, found.total, run_id, found.facts)

    async def session(self, tenant: str, name: str, most: int = KEPT) -> Session | None:
        """Return a session with its latest turns; None if it is unknown or has expired. Raises BlackboardLost.

        The facts of its turns are read with more than one turn.
        """
        where = [keys.session_turns(tenant, name), keys.session_order(tenant, name), keys.SENTINEL]
        where.append(keys.session_facts(tenant, name))
        now = datetime.now(UTC)
        given = [most, _ms(now - OLDEST), int(most > 1)]
        sentinel, end, count, left, turns, facts = await self.sentinel.scripts.run(_READ, where, given)
        await self.sentinel.verify(sentinel)
        if left < 0 or not (turns or end):
            return None
        ended = SessionEnd.model_validate_json(end.partition(" ")[2]) if end else None
        known = read_facts(facts, now)
        return Session(name, _read(turns), int(count), ended, now + timedelta(milliseconds=left), known)

    async def list(self, tenant: str, limit: int, offset: int = 0) -> list[Session]:
        """Return sessions with their last turn, the latest first. Raises BlackboardLost."""
        now = _ms(datetime.now(UTC))
        names = await self.sentinel.client.zrange(
            keys.sessions(tenant), "+inf", now, desc=True, byscore=True, offset=offset, num=limit
        )
        found = [await self.session(tenant, name, 1) for name in names]
        return [each for each in found if each is not None]


def _read(turns: Sequence[str]) -> list[ConversationTurn]:
    return [ConversationTurn.model_validate_json(turn) for turn in reversed(turns)]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
