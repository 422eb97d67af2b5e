"""Builder of a decision: the events recorded so far, the messages to send, and the resulting run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.event import Moved, RunEvent, State
from schemas.message import Message
from shared.runs.evolve import evolve
from shared.runs.governance import Governance, default_governance
from shared.runs.machine import may_move
from shared.runs.planning import Agents
from shared.runs.run import Run, StepRecord, last_answer_id


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish. `id` is deterministic; `due` None means immediately."""

    id: str
    message: Message
    due: datetime | None = None
    follows: tuple[str, ...] = ()
    """Ids of the messages that caused it, besides the one being processed."""


@dataclass(slots=True)
class DecisionBuilder:
    """Collects events and messages; `run` always includes the events collected so far."""

    run: Run
    now: datetime
    agents: Agents
    governance: Governance = field(default_factory=default_governance)
    by: str = "orchestrator"
    events: list[RunEvent] = field(default_factory=list)
    messages: list[Outgoing] = field(default_factory=list)

    def record(self, kind: type[RunEvent], /, *, by: str | None = None, **facts: Any) -> None:
        """Record an event."""
        event = kind(run_id=self.run.id, tenant=self.run.tenant, at=self.now, by=by or self.by, **facts)
        self.events.append(event)
        self.run = evolve(self.run, event)

    def move(self, target: State, reason: str, **facts: Any) -> None:
        """Move to another state. Raises AssertionError for a move outside the table: a defect of the caller."""
        source = self.run.state
        assert may_move(source, target), f"{source} → {target} is not in the table"
        self.record(Moved, source=source, target=target, reason=reason, **facts)

    def send(self, id: str, message: Message, due: datetime | None = None, follows: Iterable[StepRecord] = ()) -> None:
        """Publish a message after the events are stored. The answers to the steps `follows` are causes of it, too."""
        self.messages.append(Outgoing(id, message, due, tuple(last_answer_id(self.run, each) for each in follows)))
