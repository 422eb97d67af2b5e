"""Decisions about messages: the run is loaded, and the pure core decides."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import structlog

from schemas.approval import CancelRun
from schemas.message import Message
from schemas.step import Answer
from schemas.timer import DeadlinePassed, QuestionDue, ResultDue, WaitExpired
from services.orchestrator.preconditions import require_agents
from services.orchestrator.unreadable import end_unreadable
from shared.blackboard import KnownAgents, Loaded, RunStore, UnreadableRun
from shared.bus import Delivery
from shared.errors import RetryableError, TerminalError, WaggleError
from shared.runs import ENDS, Decision, Intake, Run, awaited_handoffs, decide, give_up
from shared.runs.governance import Governance
from shared.runs.messages import ScreenedMessage
from shared.runs.planning import Agents
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

Decidable: TypeAlias = Message | Intake | ScreenedMessage
"""A message that a run decides about."""


class Decided(NamedTuple):
    """A decision, and the run it is based on."""

    loaded: Loaded
    decision: Decision | None
    """None if the message concerns a run that does not exist."""
    replaced: Sequence[str] = ()
    """Fields of an unreadable record that the decision replaces."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Loads runs and decides about messages to them."""

    runs: RunStore
    agents: KnownAgents
    metrics: Metrics
    governance: Governance

    async def decide(self, message: Decidable, attempt: int) -> Decided:
        """Decide about a message. `attempt`: of its delivery.

        Raises UnreadableRun for a run that cannot be read, unless the message ends it, and what `decide` and
        `require_agents` raise.
        """
        if (cached := self._from_cache(message, datetime.now(UTC), await self.agents.get())) is not None:
            return cached
        try:
            loaded = await self.runs.load(*run_of(message))
        except UnreadableRun as unreadable:
            return _end_run(unreadable, message, datetime.now(UTC))
        agents, now = await self.agents.get(), datetime.now(UTC)  # of the generation that the run was loaded from
        decision = self._decide(loaded.run, message, now, agents)
        if isinstance(message, Intake) and loaded.run is None:
            require_agents(message, attempt, agents, now)
        return Decided(loaded, decision)

    def _from_cache(self, message: Decidable, now: datetime, agents: Agents) -> Decided | None:
        """Decide on the cached run, if that leads to a write: `commit` detects a run that has changed since."""
        cached = self.runs.recall(*run_of(message))
        if cached is not None:
            with suppress(RetryableError):
                decision = self._decide(cached.run, message, now, agents)
                if decision is not None and decision.events:
                    return Decided(cached, decision)
        return None

    def _decide(self, run: Run | None, message: Decidable, now: datetime, agents: Agents) -> Decision | None:
        """Decide, and count an answer that is refused without a record in the run's log."""
        try:
            return decide(run, message, now, agents, self.governance)
        except TerminalError as refused:
            if isinstance(message, Answer):
                self.metrics.answers_refused.labels(refused.code).inc()
            raise

    async def give_up(self, delivery: Delivery, error: WaggleError) -> tuple[Loaded, Decision] | None:
        """End the run that waits for a dead letter, since nothing else would advance it; None if none waits.

        If the run is settling, its result is published.
        """
        message = delivery.message
        if not isinstance(message, Answer | DeadlinePassed | WaitExpired | QuestionDue | ResultDue):
            return None
        loaded = await self.runs.load(*run_of(message))
        if loaded.run is None or not _waits_for(loaded.run, message):
            return None
        why = f"{delivery.envelope.type} could not be handled: {error}"
        return loaded, give_up(loaded.run, datetime.now(UTC), why, "defect")


def run_of(message: Any) -> tuple[str, str]:
    """Return tenant and run id of a message."""
    return (message.task.tenant if isinstance(message, Intake) else message.tenant), message.run_id


def _end_run(unreadable: UnreadableRun, message: Decidable, now: datetime) -> Decided:
    """End an unreadable run if it is cancelled or its time is up. Raises `unreadable` for any other message."""
    match message:
        case CancelRun() | DeadlinePassed() | WaitExpired() if unreadable.state not in ENDS:
            pass
        case ResultDue() if unreadable.settling and message.end == unreadable.resumes:
            pass
        case _:
            raise unreadable
    log.error("unreadable_run_ended", run=unreadable.run_id, tenant=message.tenant, reason=str(unreadable))
    loaded = Loaded(None, unreadable.version, unreadable.generation)
    return Decided(loaded, end_unreadable(unreadable, message, now), unreadable.names)


def _waits_for(run: Run, message: Answer | DeadlinePassed | WaitExpired | QuestionDue | ResultDue) -> bool:
    match message:
        case Answer():
            return message.handoff_id in awaited_handoffs(run)
        case ResultDue():
            return run.settling and message.end == run.resumes
        case _:
            return run.state not in ENDS
