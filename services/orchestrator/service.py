"""The orchestrator owns every run's state machine. It decides and dispatches; it does no work itself.

The path of a message: decode → load the run → decide → commit with the outbox in one step → publish the outbox → commit
the offset. A crash between any two of them leads to a redelivery, and a redelivery changes nothing twice.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from schemas.approval import AddMessage, Feedback
from schemas.error import ErrorInfo
from schemas.event import AnswerIgnored, Moved
from schemas.timer import DeadlinePassed, QuestionDue, ResultDue, WaitExpired
from services.orchestrator.authority import Authority
from services.orchestrator.changeset import Changeset, prepare
from services.orchestrator.counting import Counting
from services.orchestrator.deciding import Decidable, Decider, run_of
from services.orchestrator.governing import governance_of
from services.orchestrator.intake import message_of, screen, screened, screened_feedback, with_conversation
from services.orchestrator.outbox import publish_outbox
from services.orchestrator.preconditions import require_turn
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.unreadable import stand_in_delivery, unread_intake
from shared.blackboard import KnownAgents
from shared.blackboard.conversations import Conversations
from shared.bus import Delivery, decode
from shared.bus.broker import keyring_of
from shared.bus.groups import ORCHESTRATED
from shared.errors import Conflict, RetryableError, TerminalError, WaggleError
from shared.runs import Decision, Intake, Run
from shared.service import Parts, connect, serve
from shared.service.policies import read_configuration
from shared.service.rebuild import keep_checkpoint, rebuild_when_lost
from shared.telemetry.metrics import Metrics
from shared.telemetry.traces import moved, workflow

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The imperative shell around the pure core: loads, lets it decide, commits, publishes."""

    parts: Parts
    decider: Decider
    counting: Counting
    authority: Authority
    conversations: Conversations

    @classmethod
    def of(cls, parts: Parts) -> "Orchestrator":
        """Return an orchestrator with these parts."""
        own = parts.own_settings(OrchestratorSettings)
        governance = governance_of(parts.settings.gate, own.principals)
        decider = Decider(parts.runs, KnownAgents(parts.sentinel), parts.metrics, governance)
        authority = Authority.of(own, parts.redis, parts.metrics)
        return cls(parts, decider, Counting(parts.metrics), authority, Conversations(parts.sentinel))

    async def handle(self, delivery: Delivery) -> None:
        """Apply the message to its run, exactly once, if its author has the authority."""
        await self.authority.check(delivery)
        message: Decidable = message_of(delivery, self.parts.settings.max_message_bytes)
        if isinstance(message, Intake):
            await keyring_of(self.parts.broker).require(message.task.tenant, message.run_id)
            await require_turn(message, self.parts)
            message = await asyncio.to_thread(screen, message, self.parts.settings)  # a large task takes a while
            message = await with_conversation(message, self.conversations)
        elif isinstance(message, AddMessage):
            message = await asyncio.to_thread(screened, message, self.parts.settings)
        elif isinstance(message, Feedback):
            message = await asyncio.to_thread(screened_feedback, message, self.parts.settings)
        await self._apply(delivery, message)

    async def _apply(self, delivery: Delivery, message: Decidable) -> None:
        """Decide, commit and publish; start over after each conflict with another writer."""
        prefix = self.parts.settings.topic_prefix
        while True:
            try:
                loaded, decision, replaced = await self.decider.decide(message, delivery.envelope.attempt)
                if decision is None:
                    return _refuse_stray(message, self.parts.metrics)
                if not decision.events:
                    return await publish_outbox(self.parts, decision.run, loaded.generation)
                await self._commit(prepare(delivery, loaded, decision, prefix, replaced))
                return _refuse_forged(decision)
            except Conflict as conflict:
                log.info("version_conflict_retry", run=run_of(message)[1], reason=str(conflict))

    async def _commit(self, changes: Changeset) -> None:
        """Write the change, then publish its records, together with any that an earlier write left."""
        committed = await self.parts.runs.commit(changes.write)
        if committed.fresh:
            _record_transitions(changes.decision)
            _record_run_span(changes.run, changes.loaded.run)
            self.counting.count(changes.run, changes.decision.events)
        complete = committed.fresh and not committed.left
        await publish_outbox(self.parts, changes.run, changes.loaded.generation, changes.records if complete else None)

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """End the run that depends on a dead letter, so that each accepted task has its one result."""
        prefix = self.parts.settings.topic_prefix
        if record.topic == f"{prefix}tasks":
            intake = unread_intake(record, ErrorInfo(code=error.code, message=str(error)))
            if intake is not None:
                await self._apply(stand_in_delivery(record, intake), intake)
        elif error.code == "defect":
            delivery = decode(record, prefix)
            ended = await self.decider.give_up(delivery, error)
            if ended is not None:
                await self._commit(prepare(delivery, *ended, prefix))


def _refuse_stray(message: Decidable, metrics: Metrics) -> None:
    """Count and log a timer of an unknown run. Raises RetryableError `unknown_run` for any other message."""
    tenant, run_id = run_of(message)
    if not isinstance(message, DeadlinePassed | WaitExpired | QuestionDue | ResultDue):
        raise RetryableError(f"the blackboard has no run {run_id}", code="unknown_run")
    metrics.stray_timers.inc()
    log.warning("timer_of_unknown_run", run=run_id, tenant=tenant, type=message.wire_type())


def _refuse_forged(decision: Decision) -> None:
    """Raise TerminalError for an answer that is not from its agent, after the run's log has recorded it."""
    for each in decision.events:
        if isinstance(each, AnswerIgnored) and each.reason:
            raise TerminalError(f"the answer to {each.handoff_id} is not from its agent", code=each.reason)


def _record_transitions(decision: Decision) -> None:
    """Add each change of state to the span of the delivery that caused it."""
    for each in decision.events:
        if isinstance(each, Moved):
            moved(each.source, each.target, each.reason)


def _record_run_span(run: Run, before: Run | None) -> None:
    """Record the span of the whole run at its first end; a resumed run adds to the same trace."""
    if run.over and not run.resumes and (before is None or not before.over):
        error = run.error.code if run.error else None
        workflow(run.id, run.traceparent, run.started, run.state, error, run.usage)


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_configuration(OrchestratorSettings)
    parts = connect("orchestrator", settings, own)
    orchestrator = Orchestrator.of(parts)
    background = (
        partial(rebuild_when_lost, parts.sentinel, settings, parts.metrics),
        partial(keep_checkpoint, parts.sentinel, settings),
    )
    serve(parts, ORCHESTRATED, orchestrator.handle, on_dead=orchestrator.on_dead, background=background)
