"""Worker: takes handoffs from the bus, has each one executed once, and publishes the answers."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.step import Answer, Handoff
from shared import bus
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.agent.replying import build_answer, failure
from shared.agent.runtime import AgentRuntime
from shared.blackboard import OUTAGES
from shared.bus import Delivery, decode
from shared.errors import Fenced, InvalidMessage, Stopped, TerminalError, WaggleError

log = structlog.get_logger()

_NOT_OF_THIS_HANDOFF: tuple[type[Exception], ...] = (*bus.OUTAGES, *OUTAGES, Fenced)
"""Errors after which a dead handoff is reported later, or by another worker."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Handles the messages of one agent."""

    runtime: AgentRuntime

    async def handle(self, delivery: Delivery) -> None:
        """Execute the handoff, record the answer, publish it. A redelivery resumes where the journal ends.

        Raises Fenced when another worker has claimed the work meanwhile, Stopped when the kill switch is on.
        """
        handoff = delivery.message
        if not isinstance(handoff, self.runtime.agent.accepts):
            message = f"agent {self.runtime.agent.name} does not accept {handoff.wire_type()}"
            raise TerminalError(message, code="wrong_message")
        try:
            await self.runtime.check_stopped(handoff)
            answer = await self.execute(handoff)
        except Stopped as stopped:
            await self.runtime.report_progress(handoff, f"parked: {stopped}")
            raise
        await self.runtime.publish(answer, cause=delivery.envelope.id)

    async def execute(self, handoff: Handoff) -> Answer:
        """Claim the journal of the handoff and execute it. Raises Stopped, Fenced and outages."""
        journal = await self.runtime.journal(handoff).open()
        return await execute(HandoffRun.of(self.runtime, handoff, journal))

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """Report a dead-lettered handoff to its run. Skipped when the record cannot be read."""
        with suppress(InvalidMessage):
            delivery = decode(record, self.runtime.settings.topic_prefix)
            if isinstance(delivery.message, Handoff):
                await self._report_dead(delivery.message, error, delivery.envelope.id)

    async def _report_dead(self, handoff: Handoff, error: WaggleError, cause: str) -> None:
        draft = failure(error.code, str(error))
        draft.fields.update(await recorded_totals(self.runtime, handoff))
        await self.runtime.publish(build_answer(self.runtime.agent.name, handoff, draft), cause)


async def recorded_totals(runtime: AgentRuntime, handoff: Handoff) -> dict[str, Any]:
    """Return the usage, models and acting calls that the journal has of a handoff without an answer.

    Empty when that fails: the journal itself may have made the handoff fail. Raises outages and Fenced.
    """
    try:
        handoff_run = HandoffRun.of(runtime, handoff, await runtime.journal(handoff).open())
        handoff_run.recall()
        return await handoff_run.totals()
    except _NOT_OF_THIS_HANDOFF:
        raise
    except Exception:  # logged, not raised: the failure must still be answered, with or without totals
        log.exception("dead_handoff_not_recalled", run=handoff.run_id, handoff=handoff.id)
        return {}
