"""The orchestrator owns every run's state machine. It decides and dispatches; it does no work itself.

The way of a message: decoded → run loaded → `decide` → written with its outbox in one step → outbox published → offset
committed. A crash between any two of them means redelivery, and a redelivery changes nothing twice.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import structlog

from schemas.approval import CancelRun
from schemas.envelope import Envelope
from schemas.error import ErrorInfo
from schemas.event import AnswerIgnored
from schemas.log import LoggedEvent, RunChanged
from schemas.message import Message
from schemas.step import Answer
from schemas.task import Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from services.orchestrator.admission import admit, await_agents
from services.orchestrator.authority import Authority
from services.orchestrator.counting import Counting
from services.orchestrator.rejection import ended, unread_intake
from shared.access.tenants import grant, read_tenants
from shared.blackboard import KnownAgents, Loaded, UnreadableRun, Write
from shared.blackboard.sentinel import epoch_of
from shared.bus import Delivery, Record, cleared, content_id, decode, encode, encode_delayed, fits, publish
from shared.bus.groups import ORCHESTRATED
from shared.config import Settings, read_settings
from shared.errors import Conflict, InvalidMessage, RetryableError, TerminalError, WaggleError
from shared.guardrails import read_policy, screened_task
from shared.runs import ENDS, Decision, Intake, Run, awaited_handoffs, decide, give_up, run_id_for
from shared.runs.planning import Agents
from shared.service import Parts, connect, serve
from shared.service.rebuild import keep_checkpoint, rebuild_when_lost
from shared.telemetry import logs
from shared.telemetry.propagation import current_traceparent, run_trace
from shared.telemetry.traces import set_attributes, workflow

log = structlog.get_logger()

SOURCE = "waggle/orchestrator"

_TOO_LARGE = "what its steps have brought is more than one message holds"


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The imperative shell around `decide`."""

    parts: Parts
    agents: KnownAgents
    counting: Counting
    authority: Authority

    async def handle(self, delivery: Delivery) -> None:
        """Let the message have its effect on its run, exactly once, if its giver may order it."""
        await self.authority.check(delivery)
        message = _intake(delivery, self.parts.settings.max_message_bytes)
        if isinstance(message, Intake):  # a large one takes a while: others are not to wait for it
            await admit(message, self.parts)
            message = await asyncio.to_thread(_screened, message, self.parts.settings)
        await self._settle(delivery, message)

    async def _settle(self, delivery: Delivery, message: Message | Intake) -> None:
        """Apply the message, again after each conflict with another writer."""
        tenant, run_id = _whose(message)
        while True:
            try:
                return await self._apply(delivery, message, tenant, run_id)
            except Conflict as conflict:
                log.info("decision_conflict", run=run_id, conflict=str(conflict))

    async def _apply(self, delivery: Delivery, message: Message | Intake, tenant: str, run_id: str) -> None:
        try:
            loaded, decision = await self._decide(message, tenant, run_id)
        except UnreadableRun as unreadable:
            await self._replace(delivery, message, unreadable)
            return
        if isinstance(message, Intake) and loaded.run is None:
            await_agents(message, delivery.envelope.attempt, await self.agents.get(), datetime.now(UTC))
        if decision is None:
            self._refuse_stray(message, tenant, run_id)
        elif decision.events:
            await self._carry_out(delivery, loaded, decision)
            _refuse_forged(decision)
        else:
            await self._publish_outbox(tenant, run_id, loaded.generation)

    async def _decide(self, message: Message | Intake, tenant: str, run_id: str) -> tuple[Loaded, Decision | None]:
        """Decide on the run as it is remembered if that leads to a write, which finds out whether it is still so."""
        agents, now = await self.agents.get(), datetime.now(UTC)
        remembered = self.parts.runs.recall(tenant, run_id)
        if remembered is not None:
            with suppress(RetryableError):
                decision = self._decided(remembered.run, message, now, agents)
                if decision is not None and decision.events:
                    return remembered, decision
        loaded = await self.parts.runs.load(tenant, run_id)
        return loaded, self._decided(loaded.run, message, now, agents)

    def _decided(self, run: Run | None, message: Message | Intake, now: datetime, agents: Agents) -> Decision | None:
        """Decide, and count an answer that is refused without a record in the run's log."""
        try:
            return decide(run, message, now, agents)
        except TerminalError as refused:
            if isinstance(message, Answer):
                self.parts.metrics.answers_refused.labels(refused.code).inc()
            raise

    async def _replace(self, delivery: Delivery, message: Message | Intake, unreadable: UnreadableRun) -> None:
        """End an unreadable run if it is cancelled or its time is up. Raises it for any other message."""
        match message:
            case CancelRun() | DeadlinePassed() | WaitExpired() if unreadable.state not in ENDS:
                pass
            case ResultDue() if unreadable.settling and message.end == unreadable.resumes:
                pass
            case _:
                raise unreadable
        log.error("unreadable_run_ended", run=unreadable.run_id, tenant=message.tenant, why=str(unreadable))
        now, loaded = datetime.now(UTC), Loaded(None, unreadable.version, unreadable.generation)
        await self._carry_out(delivery, loaded, ended(unreadable, message, now), unreadable.names)

    async def _carry_out(
        self, delivery: Delivery, loaded: Loaded, decision: Decision, gone: Sequence[str] = ()
    ) -> None:
        """Write, then publish what was written, with what an earlier write has left. `gone`: fields it replaces."""
        change, records = self._prepare(delivery, loaded, decision)
        if not all(map(fits, records)):
            if loaded.run is None:
                raise InvalidMessage("what follows from the task is more than one message holds", code="too_large")
            decision = give_up(loaded.run, change.at, _TOO_LARGE, answer=delivery.message)
            change, records = self._prepare(delivery, loaded, decision)
        tenant, run_id = decision.run.tenant, decision.run.id
        write = replace(_write(delivery, loaded, decision, change, records), gone=gone)
        committed = await self.parts.runs.commit(write)
        if committed.fresh:
            _tell(decision.run, loaded.run)
            self.counting.changed(decision.run, decision.events)
        if committed.fresh and not committed.left:
            await publish(self.parts.broker, records)
            await self.parts.runs.mark_published(tenant, run_id, [record.id for record in records], loaded.generation)
        else:
            await self._publish_outbox(tenant, run_id, loaded.generation)

    def _prepare(self, delivery: Delivery, loaded: Loaded, decision: Decision) -> tuple[RunChanged, list[Record]]:
        """What the log keeps of the decision, and everything to publish."""
        change = _change(decision, loaded, delivery)
        with run_trace(decision.run.traceparent, decision.run.id, at_intake=loaded.run is None):
            return change, self._records(decision, change)

    def _records(self, decision: Decision, change: RunChanged) -> list[Record]:
        """Everything to publish: the change for the run log, the messages that follow, and the timers to clear."""
        now, cause, prefix = change.at, change.cause, self.parts.settings.topic_prefix
        log_id = f"{change.run_id}/log/{change.epoch}.{change.number}"
        return [
            encode(change, id=log_id, source=SOURCE, prefix=prefix, now=now, cause=cause, shown=False),
            *(
                encode_delayed(
                    each.message,
                    each.due,
                    id=each.id,
                    source=SOURCE,
                    prefix=prefix,
                    now=now,
                    cause=cause,
                    follows=[id for id in each.follows if id != cause],
                )
                for each in decision.messages
            ),
            *(cleared(each, prefix=prefix) for each in decision.cleared),
        ]

    async def _publish_outbox(self, tenant: str, run_id: str, generation: str) -> None:
        """Publish what was written and not yet published, also what a crashed predecessor left."""
        waiting = await self.parts.runs.outbox(tenant, run_id)
        if waiting:
            await publish(self.parts.broker, [Record.model_validate_json(each) for each in waiting.values()])
            await self.parts.runs.mark_published(tenant, run_id, list(waiting), generation)

    def _refuse_stray(self, message: Message | Intake, tenant: str, run_id: str) -> None:
        """Report a timer of an unknown run. Raises RetryableError for any other message: a dead letter in the end."""
        if not isinstance(message, DeadlinePassed | WaitExpired | ResultDue):
            raise RetryableError(f"there is no run {run_id}, or not yet again", code="unknown_run")
        self.parts.metrics.stray_timers.inc()
        log.warning("timer_of_unknown_run", run=run_id, tenant=tenant, timer=message.wire_type())

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """End the run of a dead letter that it depends on, so that each accepted task has its one result."""
        if record.topic == self.parts.settings.topic_prefix + "tasks":
            intake = unread_intake(record, ErrorInfo(code=error.code, message=str(error)))
            if intake is not None:
                await self._settle(_standing_for(record, intake), intake)
        elif error.code == "defect":
            await self._give_up(decode(record, self.parts.settings.topic_prefix), error)

    async def _give_up(self, delivery: Delivery, error: WaggleError) -> None:
        """End the run that waits for this message: it is a dead letter, and nothing else would move the run on.

        Of a run that is settling, publish the result.
        """
        message = delivery.message
        if not isinstance(message, Answer | DeadlinePassed | WaitExpired | ResultDue):
            return
        loaded = await self.parts.runs.load(*_whose(message))
        if loaded.run is not None and _stands_still_without(message, loaded.run):
            why = f"{delivery.envelope.type} could not be handled: {error}"
            await self._carry_out(delivery, loaded, give_up(loaded.run, datetime.now(UTC), why, "defect"))


def _standing_for(record: Any, intake: Intake) -> Delivery:
    """The delivery of a task that could not be read. Its id differs: the task itself may be redriven."""
    envelope = Envelope(
        id=content_id("unread", intake.source or "", intake.task_id), source=SOURCE, type=Task.wire_type()
    )
    return Delivery(envelope, intake.task, record.topic, record.partition, record.offset, len(record.value or b""))


def _intake(delivery: Delivery, limit: int) -> Message | Intake:
    task = delivery.message
    if not isinstance(task, Task):
        return task
    if delivery.size > limit:
        raise InvalidMessage(f"{delivery.size} bytes are more than the {limit} a task may have", code="too_large")
    task_id = delivery.envelope.id
    source = delivery.envelope.source
    run_id = run_id_for(task.tenant, task.idempotency_key, source, task_id)
    set_attributes(run=run_id, tenant=task.tenant)
    logs.bind_message(task, run_id)
    return Intake(run_id, task_id, task, current_traceparent() or None, source=source, secret=token_hex(16))


def _screened(intake: Intake, settings: Settings) -> Intake:
    """The task as its tenant may have it and the guardrails leave it: nothing else is stored, planned or logged."""
    task, tripped = screened_task(intake.task, read_policy(settings.guardrails))
    granted, refused = grant(task, read_tenants(settings.tenants))
    return replace(intake, task=granted, tripped=tripped, refused=refused)


def _stands_still_without(message: Answer | DeadlinePassed | WaitExpired | ResultDue, run: Run) -> bool:
    match message:
        case Answer():
            return message.handoff_id in awaited_handoffs(run)
        case ResultDue():
            return run.settling and message.end == run.resumes
        case _:
            return run.state not in ENDS


def _whose(message: Any) -> tuple[str, str]:
    return (message.task.tenant if isinstance(message, Intake) else message.tenant), message.run_id


def _refuse_forged(decision: Decision) -> None:
    """An answer that is not its agent's is a dead letter, besides what the run's log says of it."""
    for each in decision.events:
        if isinstance(each, AnswerIgnored) and each.reason:
            raise TerminalError(f"the answer to {each.handoff_id} is not its agent's", code=each.reason)


def _tell(run: Run, before: Run | None) -> None:
    """Record the span of the whole run at its first end; what a resumed run does is in its trace all the same."""
    if run.over and not run.resumes and (before is None or not before.over):
        error = run.error.code if run.error else None
        workflow(run.id, run.traceparent, run.started, run.state, error, run.usage)


def _change(decision: Decision, loaded: Loaded, delivery: Delivery) -> RunChanged:
    """What the run log keeps of a decision."""
    return RunChanged(
        run_id=decision.run.id,
        tenant=decision.run.tenant,
        epoch=epoch_of(loaded.generation),
        number=loaded.version + 1,
        cause=delivery.envelope.id,
        mark=delivery.mark,
        at=datetime.now(UTC),
        events=[LoggedEvent(type=event.wire_type(), data=event) for event in decision.events],
    )


def _write(delivery: Delivery, loaded: Loaded, decision: Decision, change: RunChanged, records: list[Record]) -> Write:
    return Write(
        message_id=delivery.mark,
        former_id=delivery.envelope.id,
        before=loaded.run,
        after=decision.run,
        version=loaded.version,
        generation=loaded.generation,
        events=[event.shown() for event in change.events],
        outbox={record.id: record.model_dump_json(exclude_defaults=True) for record in records},
        author="orchestrator",
        at=change.at.isoformat(),
        why=delivery.envelope.type,
    )


def main() -> None:
    """Serve until asked to stop."""
    settings = read_settings()
    parts = connect("orchestrator", settings)
    authority = Authority.of(settings, parts.redis, parts.metrics)
    orchestrator = Orchestrator(parts, KnownAgents(parts.sentinel), Counting(parts.metrics), authority)

    async def rebuilding() -> None:
        await rebuild_when_lost(parts.sentinel, settings, parts.metrics)

    async def checkpointing() -> None:
        await keep_checkpoint(parts.sentinel, settings)

    background = [rebuilding, checkpointing]
    serve(parts, ORCHESTRATED, orchestrator.handle, on_dead=orchestrator.on_dead, background=background)
