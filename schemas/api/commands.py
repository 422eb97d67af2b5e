"""Commands for runs, the kill switch and topics: request bodies and confirmations."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from schemas.caller_message import LONGEST_MESSAGE, Comment, Score
from schemas.message import MOST, Id, JsonObject, Part, Text
from schemas.question import Reply
from schemas.stop import WorkStopped

_BY = "Author of the command. Ignored with a key: its owner is the author. Required without one."


class CommandRequest(Part):
    """A command with its author."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # the body of a request

    by: str | None = Field(None, min_length=1, max_length=200, description=_BY)


class ReasonedRequest(CommandRequest):
    """A command with its author and the reason."""

    reason: Text


class MessageRequest(CommandRequest):
    """Words to add to the task of a run at work."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_MESSAGE)]
    message_id: Id | None = Field(
        None, description="Idempotency key: the run takes a message with this id once. Default: a new one."
    )


class FeedbackRequest(CommandRequest):
    """Feedback on an ended run: if it solved the author's problem."""

    solved: bool
    score: Score | None = Field(None, description="From 1, useless, to 5, perfect.")
    comment: Comment = Field("", description="For people; no agent is given it as an instruction.")


class DecisionRequest(CommandRequest):
    """A human answer to one of the run's open `questions`."""

    request_id: Id
    decision: Reply = Field(description="One of the question's `offers`.")
    answer: str = Field("", max_length=20_000, description="Message to the agent; with a rejection, the reason.")
    arguments: JsonObject | None = Field(None, description="Of `edit`: the arguments to call with instead.")
    digest: str | None = Field(
        None, description="`digest` of the `proposal` that was reviewed; any other one is not approved."
    )


class WithdrawRequest(CommandRequest):
    """The question whose answer its author withdraws."""

    request_id: Id


class DelegateRequest(CommandRequest):
    """The question that another person may answer in the author's place."""

    request_id: Id
    to: str = Field(min_length=1, max_length=200, description="Name of a principal with the role `decide`.")


class ApplyRequest(CommandRequest):
    """The calls of a dry run to apply, named by the digest of its result."""

    digest: str = Field(min_length=64, max_length=64, description="`effects_digest` of the run's result.")


class SkipRequest(ReasonedRequest):
    """The unreadable batch to skip."""

    offset: int = Field(
        ge=0, le=MOST, description="An offset in the batch: `/ready` of the service held there names it."
    )


class CommandAccepted(Part):
    """A command that Kafka has acknowledged; the run's events show its effect."""

    run_id: str
    tenant: str
    message_id: str


class Released(Part):
    """A scope in which work resumes."""

    scope: str
    was: WorkStopped | None = Field(description="The stop that was lifted; null if none was known.")
