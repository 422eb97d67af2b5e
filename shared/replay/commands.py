"""Commands of people as the run log states them, for runs whose messages are no longer retained."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import approval as a
from schemas import event as e
from schemas import question_events as q
from schemas.approval import Feedback
from schemas.event import FeedbackGiven, RunEvent, State
from schemas.message import Message
from shared.runs import Run
from shared.runs.messages import ScreenedMessage

_UNUSED = "-"
"""In place of a text that the refusal of a command does not depend on."""


@dataclass(frozen=True, slots=True)
class RecordedHit:
    """A guardrail that tripped, as the log has it."""

    kind: str
    action: str
    where: str
    why: str
    count: int

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.where} {self.why}{times}"


def hits_in(events: Iterable[RunEvent]) -> tuple[RecordedHit, ...]:
    """Return the guardrails that tripped."""
    found = (each for each in events if isinstance(each, e.GuardrailTripped))
    return tuple(RecordedHit(each.guardrail, each.action, each.where, each.why, each.count) for each in found)


def commands_in(run: Run, events: Sequence[RunEvent]) -> Iterator[Message | ScreenedMessage]:
    """Yield the commands that may have caused these events."""
    for each in events:
        if (stated := _STATED.get(type(each))) is not None:
            found = list(stated(run, each, {"run_id": run.id, "tenant": run.tenant, "by": each.by}))
            tripped = hits_in(events)
            yield from (ScreenedMessage(one, tripped) if isinstance(one, a.AddMessage) else one for one in found)
            if found:
                return


def _decided(run: Run, event: q.AnswerGiven, about: dict[str, Any]) -> Iterator[Message]:
    vote, question = event.vote, run.questions.get(event.request_id)
    proposal = question.asked.proposal if question else None
    said = about | {"request_id": event.request_id, "reply": vote.reply, "answer": vote.answer}
    said |= {"arguments": vote.arguments, "digest": proposal.digest if proposal else None}
    yield from (a.HumanDecided(**said, decision=decision) for decision in a.decisions_for(vote.reply))


def _moved(run: Run, event: e.Moved, about: dict[str, Any]) -> Iterator[Message]:
    if event.target is State.CANCELLED:
        yield a.CancelRun(**about, reason=event.reason)
    elif event.target is State.PAUSED:
        yield a.PauseRun(**about, reason=event.reason)
    elif event.source is State.PAUSED:
        yield a.ResumeRun(**about)


def _refused(run: Run, event: e.MoveRefused, about: dict[str, Any]) -> Iterator[Message]:
    match event.wanted:
        case "cancel" | "pause":
            yield (a.CancelRun if event.wanted == "cancel" else a.PauseRun)(**about, reason=_UNUSED)
        case "resume":
            yield a.ResumeRun(**about)
        case "give feedback":
            yield Feedback(**about, solved=False)
        case "apply":
            yield a.CarryOut(**about, digest=_UNUSED)
        case "end the session":
            yield a.EndSession(**about, session=_UNUSED)
            yield from ([a.EndSession(**about, session=run.task.session)] if run.task.session else [])
        case "release a claim":
            yield a.ReleaseClaim(**about, resource=_UNUSED, number=1, reason=_UNUSED)
        case "add a message":
            yield a.AddMessage(**about, message_id=_UNUSED, text=_UNUSED)
        case "decide" | "withdraw" | "delegate":
            for each in (*run.questions, _UNUSED):
                yield from _refused_answer(event.wanted, about | {"request_id": each})


def _refused_answer(wanted: str, about: dict[str, Any]) -> Iterator[Message]:
    match wanted:
        case "withdraw":
            yield a.WithdrawAnswer(**about)
        case "delegate":
            yield a.DelegateQuestion(**about, to=_UNUSED)
        case _:
            yield a.HumanDecided(**about, decision="approve")
            yield a.HumanDecided(**about, decision="reject")


_STATED: Mapping[type[RunEvent], Callable[[Run, Any, dict[str, Any]], Iterable[Message]]] = {
    q.AnswerGiven: _decided,
    q.AnswerWithdrawn: lambda run, ev, by: [a.WithdrawAnswer(**by, request_id=ev.request_id)],
    q.QuestionDelegated: lambda run, ev, by: [a.DelegateQuestion(**by, request_id=ev.request_id, to=ev.to)],
    e.EffectsApproved: lambda run, ev, by: [a.CarryOut(**by, digest=ev.digest)],
    e.RunResumed: lambda run, ev, by: [a.ResumeRun(**by)],
    e.SessionEnded: lambda run, ev, by: [a.EndSession(**by, session=run.task.session or _UNUSED)],
    e.ClaimReleased: lambda run, ev, by: [
        a.ReleaseClaim(**by, resource=ev.resource, number=ev.number, reason=ev.reason)
    ],
    e.MessageAdded: lambda run, ev, by: [a.AddMessage(**by, message_id=ev.message_id, text=ev.text)],
    FeedbackGiven: lambda run, ev, by: [Feedback(**by, solved=ev.solved, score=ev.score, comment=ev.comment)],
    e.RunEvaluated: lambda run, ev, by: [a.RecordEvaluation(**by, evaluation=ev.evaluation)],
    e.Moved: _moved,
    e.MoveRefused: _refused,
}
"""Events that state a command. An event that states none of it yields nothing."""
