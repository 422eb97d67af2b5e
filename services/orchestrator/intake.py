"""Intake of tasks: a task event becomes an `Intake`, screened by guardrails and within its tenant's terms."""

from dataclasses import replace
from secrets import token_hex

from schemas.approval import AddMessage, Feedback
from schemas.caller_message import LONGEST_COMMENT
from schemas.message import Message
from schemas.task import Task
from shared.access.tenants import grant, read_tenants
from shared.blackboard.conversations import Conversations
from shared.bus import Delivery
from shared.config import Settings
from shared.errors import InvalidMessage
from shared.guardrails import Screening, read_policy, screened_task
from shared.runs import Intake, run_id_for
from shared.runs.messages import ScreenedMessage
from shared.runs.tripped import ASK, REJECT, reasons
from shared.telemetry import logs
from shared.telemetry.propagation import current_traceparent
from shared.telemetry.traces import set_attributes


def message_of(delivery: Delivery, limit: int) -> Message | Intake:
    """Return the message of a delivery, a task as its intake. Raises InvalidMessage `too_large` above `limit` bytes."""
    task = delivery.message
    if not isinstance(task, Task):
        return task
    if delivery.size > limit:
        raise InvalidMessage(f"the task has {delivery.size} bytes; the limit is {limit}", code="too_large")
    task_id, source = delivery.envelope.id, delivery.envelope.source
    run_id = run_id_for(task.tenant, task.idempotency_key, source, task_id)
    set_attributes(run=run_id, tenant=task.tenant)
    logs.bind_message(task, run_id)
    return Intake(run_id, task_id, task, current_traceparent() or None, source=source, secret=token_hex(16))


def screen(intake: Intake, settings: Settings) -> Intake:
    """Apply the guardrails and the tenant's terms to the task: only the result is stored, planned or logged."""
    task, tripped = screened_task(intake.task, read_policy(settings.guardrails))
    granted, refused = grant(task, read_tenants(settings.tenants))
    return replace(intake, task=granted, tripped=tripped, refused=refused)


def screened(order: AddMessage, settings: Settings) -> ScreenedMessage:
    """Apply the guardrails of tasks to a message to a run."""
    screening = Screening(read_policy(settings.guardrails), "input", order.tenant)
    text = screening.text(order.text, f"message {order.message_id}"[:100])
    return ScreenedMessage(order.model_copy(update={"text": text}), tuple(screening.tripped))


def screened_feedback(order: Feedback, settings: Settings) -> Feedback:
    """Apply the guardrails of tasks to the comment. One that they stop is left out: the answer itself still counts."""
    if not order.comment:
        return order
    screening = Screening(read_policy(settings.guardrails), "input", order.tenant)
    text = screening.text(order.comment, "the feedback")
    stopped = reasons(tuple(screening.tripped), ASK, REJECT)
    kept = f"(left out by a guardrail: {stopped})" if stopped else text
    return order.model_copy(update={"comment": kept[:LONGEST_COMMENT]})


async def with_conversation(intake: Intake, conversations: Conversations) -> Intake:
    """Add the turns of the task's session that have ended, so that the run's log has what it was given.

    A turn that has not ended is named only: tasks of a session do not wait for each other. Raises BlackboardLost.
    """
    task = intake.task
    if task.session is None or intake.refused is not None:
        return intake
    given = await conversations.given(task.tenant, task.session, intake.run_id)
    return replace(intake, conversation=given) if given.turns or given.in_progress else intake
