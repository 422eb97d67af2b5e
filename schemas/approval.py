"""Human decisions, operator commands, and the evaluator's findings on a run."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.board import LARGEST_NUMBER, BoardKey
from schemas.caller_message import LONGEST_MESSAGE, Comment, Score
from schemas.event import Evaluation
from schemas.message import Id, Message, Slug, Text
from schemas.question import Reply


class Command(Message):
    """A command for a run, from a caller or an operator."""

    run_id: Id
    tenant: Slug
    by: str = Field(min_length=1, max_length=200, description="Author of the command.")


class CancelRun(Command):
    """End the run: no further call is made for it. A call in flight is not interrupted."""

    reason: Text


class PauseRun(Command):
    """Dispatch nothing until `ResumeRun`; work in flight is kept."""

    reason: Text


class ResumeRun(Command):
    """Resume a paused run, or a failed run at the step that failed."""


class AddMessage(Command):
    """Add words to the task of a run at work. Requires the signature of the person named in `by`: docs/access.md."""

    message_id: Id = Field(description="Idempotency key: the run takes a message with this id once.")
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_MESSAGE)]


class Feedback(Command):
    """Say if an ended run solved the author's problem. Of each person the latest counts.

    Requires the signature of the person named in `by`: docs/access.md.
    """

    solved: bool
    score: Score | None = Field(None, description="From 1, useless, to 5, perfect.")
    comment: Comment = Field("", description="For people; no agent is given it as an instruction.")


class RecordEvaluation(Command):
    """Record the automatic checks of an ended run. Each end of a run is evaluated once."""

    evaluation: Evaluation


class EndSession(Command):
    """End the conversation up to this run: the next task of the session starts with an empty one."""

    session: Id = Field(description="Session of the run, so that no other one is ended by mistake.")


class ReleaseClaim(Command):
    """End a claim of the run on a resource outside, so that another run may claim it."""

    resource: BoardKey
    number: int = Field(ge=1, le=LARGEST_NUMBER, description="Number of the claim: a later one is not ended.")
    reason: Text


class CarryOut(Command):
    """Apply a dry run: make exactly the calls it has shown. Requires a signature: docs/access.md."""

    digest: str = Field(description="`effects_digest` of the reviewed dry-run result.")


class HumanDecided(Command):
    """The answer to a `HelpRequested`. Requires the signature of the person named in `by`: docs/access.md."""

    request_id: Id
    decision: Literal["approve", "reject"] = Field(
        description="For readers that do not know `reply`: the safe half of it."
    )
    reply: Reply | None = Field(None, description="The answer; null: as `decision` says.")
    answer: str = Field("", max_length=20_000, description="Message to the agent; with a rejection, the reason.")
    arguments: str | None = Field(None, max_length=500_000, description="Of an edit: the new arguments, a JSON object.")
    digest: str | None = Field(None, description="Digest of the reviewed proposal; any other proposal is not approved.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse an answer whose two halves contradict each other, and arguments without an edit."""
        if self.reply is not None and self.decision not in decisions_for(self.reply):
            raise ValueError(f"reply `{self.reply}` is not the decision `{self.decision}`")
        if (self.arguments is not None) != (self.reply is Reply.EDIT):
            raise ValueError("`arguments` belong to the reply `edit`, which needs them")
        return self


def decisions_for(reply: Reply) -> tuple[str, ...]:
    """Return the `decision` values that may go with a reply. An older reader must never make a call by mistake."""
    if reply is Reply.RESPOND:
        return ("reject", "approve")  # `approve` where it answers an agent's own question
    return ("approve",) if reply is Reply.APPROVE else ("reject",)


class WithdrawAnswer(Command):
    """Take back the author's own answer, as long as it has had no effect. Requires their signature."""

    request_id: Id


class DelegateQuestion(Command):
    """Let another person answer in the author's place. Requires the author's signature."""

    request_id: Id
    to: str = Field(min_length=1, max_length=200, description="Name of a principal with the role `decide`.")
