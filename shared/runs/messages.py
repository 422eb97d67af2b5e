"""Messages to a run at work: words that callers add to its task. Their rules are in the decision record 32."""

from dataclasses import dataclass

from schemas import event, step
from schemas.approval import AddMessage
from schemas.caller_message import MOST_MESSAGES, MOST_OF_OTHERS
from schemas.event import ENDS
from shared.runs.builder import DecisionBuilder
from shared.runs.decisions import refuse
from shared.runs.run import FRUGAL_FROM, Run
from shared.runs.tripped import ASK, REJECT, GuardrailHit, reasons


@dataclass(frozen=True, slots=True)
class ScreenedMessage:
    """A message to a run as the guardrails left it, with those that tripped."""

    order: AddMessage
    tripped: tuple[GuardrailHit, ...] = ()

    @property
    def run_id(self) -> str:
        """The run that it is for."""
        return self.order.run_id

    @property
    def tenant(self) -> str:
        """The tenant of the run."""
        return self.order.tenant


def is_known(run: Run, message_id: str) -> bool:
    """Return True if the run has this message."""
    return any(each.message_id == message_id for each in run.messages)


def message_refusal(run: Run, order: AddMessage) -> str | None:
    """Return why the run takes no message now; None if it takes it, or has it."""
    if run.state in ENDS:
        return f"the run is {run.state}"
    if run.carried_out_by is not None:
        return "the run makes the calls that were approved, and nothing else"
    if len(run.messages) >= MOST_MESSAGES and not is_known(run, order.message_id):
        return f"the run has {MOST_MESSAGES} messages, the most it takes"
    return None


def add_message(builder: DecisionBuilder, message: ScreenedMessage) -> None:
    """Add a message to the run, once. It answers no question and permits no call that waits for a person."""
    run, order = builder.run, message.order
    own = builder.governance.people.is_author(order.by, run.task.requested_by)
    why = message_refusal(run, order) or _crowding(run, order, own=own) or reasons(message.tripped, ASK, REJECT)
    if why:
        refuse(builder, order.by, "add a message", why)
    elif not is_known(run, order.message_id):
        for each in message.tripped:
            facts = {"guardrail": each.kind, "action": each.action, "where": each.where, "why": each.why}
            builder.record(event.GuardrailTripped, count=each.count, **facts)
        builder.record(event.MessageAdded, by=order.by, message_id=order.message_id, text=order.text, own=own)


def _crowding(run: Run, order: AddMessage, *, own: bool) -> str | None:
    """Return why the run takes no more messages of others than its author; None if it does."""
    others = sum(not each.own for each in run.messages)
    if own or others < MOST_OF_OTHERS or is_known(run, order.message_id):
        return None
    return f"the run has {others} messages of others than the author of its task, the most it takes"


def is_outdated(builder: DecisionBuilder, answer: step.Answer) -> bool:
    """Return True if a plan or a verdict is not used since its agent had not read the latest message.

    It is asked for again, at most once for each message. When the budget is nearly used up it counts as it is.
    """
    run = builder.run
    unread = len(run.messages) - answer.messages_read if answer.messages_read is not None else 0
    if unread <= 0:
        return False
    repeated = run.budget_reached < FRUGAL_FROM and run.task.budget.exceeded_by(run.usage) is None
    facts = {"handoff_id": answer.handoff_id, "unread": unread, "repeated": repeated}
    builder.record(event.AnswerOutdated, by=answer.agent, **facts)
    return repeated
