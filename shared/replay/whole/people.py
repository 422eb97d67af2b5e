"""Questions of a recorded run with the answers that people gave, and the messages of callers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas import approval as a
from schemas.event import MoveRefused, PlanAccepted, RunEvent
from schemas.message import Message
from schemas.question import Kind
from schemas.question_events import HelpRequested
from schemas.step import Answer
from shared.replay.changed.decision import shape_of
from shared.replay.changes import ChangeReplay
from shared.replay.whole.calls import parsed
from shared.runs import Run
from shared.runs.messages import ScreenedMessage

_ANSWERS = a.HumanDecided | a.WithdrawAnswer | a.DelegateQuestion

_CALLS = (Kind.CALL, Kind.OUTCOME)


class Later(NamedTuple):
    """A message that arrived after so many answers of agents."""

    answers: int
    message: Message | ScreenedMessage


@dataclass(slots=True)
class RecordedQuestion:
    """One question, and the commands of people about it, in order."""

    asked: HelpRequested
    plan: Any
    commands: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class RecordedPeople:
    """Everything that people contributed to a run. Each answer is given once."""

    questions: list[RecordedQuestion] = field(default_factory=list)
    messages: list[Later] = field(default_factory=list)
    applied: list[Message] = field(default_factory=list)
    """Orders to apply a dry run."""

    @classmethod
    def of(cls, changes: Iterable[ChangeReplay]) -> "RecordedPeople":
        """Return the contributions that the record states."""
        found, answers, plan = cls(), 0, None
        open_: dict[str, RecordedQuestion] = {}
        for change in changes:
            answers += isinstance(change.cause, Answer)
            if not any(isinstance(each, MoveRefused) for each in change.events):
                found._take(change.cause, answers, open_)
            for event in change.events:
                plan = shape_of(event.plan) if isinstance(event, PlanAccepted) else plan
                if isinstance(event, HelpRequested):
                    open_[event.request_id] = RecordedQuestion(event, plan)
                    found.questions.append(open_[event.request_id])
        return found

    def _take(self, cause: Any, answers: int, open_: dict[str, RecordedQuestion]) -> None:
        if isinstance(cause, _ANSWERS) and cause.request_id in open_:
            open_[cause.request_id].commands.append(cause)
        elif isinstance(cause, ScreenedMessage):
            self.messages.append(Later(answers, cause))
        elif isinstance(cause, a.CarryOut):
            self.applied.append(cause)

    def answers_to(self, asked: HelpRequested, plan: Any) -> Sequence[Message] | None:
        """Return the commands about the same question in the record; None if it was not asked there."""
        same = (each for each in self.questions if subject(each.asked, each.plan) == subject(asked, plan))
        if (found := next(same, None)) is None:
            return None
        self.questions.remove(found)
        return found.commands

    def nearest(self, asked: HelpRequested) -> RecordedQuestion | None:
        """Return a recorded question of the same kind that was not asked yet."""
        return next((each for each in self.questions if each.asked.kind == asked.kind), None)


def subject(asked: HelpRequested, plan: Any) -> Any:
    """Return what an answer to the question is bound to: the call, the plan, the words of an agent, or the step."""
    if asked.kind in _CALLS and asked.proposal is not None:
        return asked.kind, asked.proposal.tool, parsed(asked.proposal.arguments)
    if asked.kind is Kind.PLAN:
        return asked.kind, plan
    if asked.kind is Kind.QUESTION:
        return asked.kind, " ".join(asked.question.split())
    return asked.kind, asked.step_id


def addressed(command: Message, run: Run, request_id: str) -> Message:
    """Return the command for a question of the branch."""
    update: dict[str, Any] = {"request_id": request_id}
    if isinstance(command, a.HumanDecided) and command.digest is not None:
        question = run.questions.get(request_id)
        proposal = question.asked.proposal if question else None
        update["digest"] = proposal.digest if proposal else command.digest
    return command.model_copy(update=update)


def questions_in(events: Iterable[RunEvent]) -> list[HelpRequested]:
    """Return the questions that were asked."""
    return [each for each in events if isinstance(each, HelpRequested)]
