"""The orchestrator owns every run's state machine. It decides and dispatches; it does no work itself.

The way of a message: decoded → run loaded → `decide` → written with its outbox in one step → outbox published → offset
committed. A crash between any two of them means redelivery, and a redelivery changes nothing twice.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.error import ErrorInfo
from schemas.message import Message
from schemas.task import Result, Task
from services.orchestrator.rejection import rejection_of
from shared.blackboard import Write, due_records, fired, known_agents, wait_until
from shared.bus import Delivery, Record, encode, publish
from shared.errors import Conflict, InvalidMessage, WaggleError
from shared.runs import Decision, Intake, Run, decide, run_id_for
from shared.service import Parts, connect, serve
from shared.settings import Settings

log = structlog.get_logger()

TOPICS = ("tasks", "runs", "control", "decisions")
TIMER_TICK = 0.1
"""Seconds between looks at the timers: how late one may fire."""


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The imperative shell around `decide`."""

    parts: Parts

    async def handle(self, delivery: Delivery) -> None:
        """Let the message have its effect on its run, exactly once."""
        message = _intake(delivery, self.parts.settings.max_message_bytes)
        tenant, run_id = _whose(message)
        while True:
            try:
                return await self._apply(delivery, message, tenant, run_id)
            except Conflict as conflict:
                log.info("somebody else was first, deciding again", run=run_id, conflict=str(conflict))

    async def _apply(self, delivery: Delivery, message: Message | Intake, tenant: str, run_id: str) -> None:
        run, version = await self.parts.runs.load(tenant, run_id)
        agents = await known_agents(self.parts.redis)
        decision = decide(run, message, datetime.now(UTC), agents)
        if decision is None:
            log.warning("a message for a run that does not exist", run=run_id, type=delivery.envelope.type)
            return
        if decision.events:
            records = self._records(decision, version, delivery.envelope.id)
            await self.parts.runs.commit(_write(delivery, run, version, decision, records))
        await self._publish_outbox(tenant, run_id)

    def _records(self, decision: Decision, version: int, cause: str) -> list[Record]:
        """Everything to publish: the events for the run log, in order, and the messages that follow."""
        run_id = decision.run.id
        events = [(f"{run_id}/log/{version + 1:06d}.{n:03d}", e, None) for n, e in enumerate(decision.events)]
        messages = [(each.id, each.message, each.due) for each in decision.messages]
        return [
            encode(
                message,
                id=id,
                source="waggle/orchestrator",
                prefix=self.parts.settings.topic_prefix,
                now=datetime.now(UTC),
                cause=cause,
                due=due,
            )
            for id, message, due in (*events, *messages)
        ]

    async def _publish_outbox(self, tenant: str, run_id: str) -> None:
        """Publish what was written and not yet published, also what a crashed predecessor left."""
        waiting = await self.parts.runs.outbox(tenant, run_id)
        records = [Record.model_validate_json(waiting[id]) for id in sorted(waiting)]
        await publish(self.parts.broker, [record for record in records if record.due is None])
        for record in records:
            if record.due is not None:
                await wait_until(self.parts.redis, record.id, record.model_dump_json(), record.due)
        await self.parts.runs.published(tenant, run_id, list(waiting))

    async def fire_timers(self) -> None:
        """Publish what has become due, for ever. At least once: consumers drop repeats."""
        while True:
            due = await due_records(self.parts.redis, datetime.now(UTC))
            if due:
                await publish(self.parts.broker, [Record.model_validate_json(each) for each in due.values()])
                await fired(self.parts.redis, list(due))
            await asyncio.sleep(TIMER_TICK)

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """Tell the sender of a task that it was rejected, if the record says who that is."""
        result = rejection_of(record, ErrorInfo(code=error.code, message=str(error)), datetime.now(UTC))
        if result is not None and record.topic == self.parts.settings.topic_prefix + "tasks":
            await publish(self.parts.broker, [self._result(result)])

    def _result(self, result: Result) -> Record:
        return encode(
            result,
            id=f"{result.run_id}/result",
            source="waggle/orchestrator",
            prefix=self.parts.settings.topic_prefix,
            now=result.finished,
        )


def _intake(delivery: Delivery, limit: int) -> Message | Intake:
    task = delivery.message
    if not isinstance(task, Task):
        return task
    if delivery.size > limit:
        raise InvalidMessage(f"{delivery.size} bytes are more than the {limit} a task may have", code="too_large")
    task_id = delivery.envelope.id
    return Intake(run_id_for(task.tenant, task.idempotency_key or task_id), task_id, task)


def _whose(message: Any) -> tuple[str, str]:
    return (message.task.tenant if isinstance(message, Intake) else message.tenant), message.run_id


def _write(delivery: Delivery, run: Run | None, version: int, decision: Decision, records: list[Record]) -> Write:
    return Write(
        message_id=delivery.envelope.id,
        before=run,
        after=decision.run,
        version=version,
        events=decision.events,
        outbox={record.id: record.model_dump_json() for record in records},
        author="orchestrator",
        why=delivery.envelope.type,
    )


def main() -> None:
    """Serve until asked to stop."""
    settings = Settings()
    parts = connect("orchestrator", settings)
    orchestrator = Orchestrator(parts)
    serve(
        parts,
        TOPICS,
        orchestrator.handle,
        on_dead=orchestrator.on_dead,
        background=[orchestrator.fire_timers],
    )
