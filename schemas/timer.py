"""Timers of runs."""

from pydantic import Field

from schemas.message import LONGEST_ID, Id, Instant, Message, Slug


class DeadlinePassed(Message):
    """The run's deadline has passed."""

    run_id: Id
    tenant: Slug
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator set the timer.")
    deadline: Instant | None = Field(None, description="Deadline it was set for; each deadline has its own timer.")


class WaitExpired(Message):
    """A `HelpRequested` was not answered in time."""

    run_id: Id
    tenant: Slug
    request_id: Id
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator set the timer.")


class QuestionDue(Message):
    """A reminder, an escalation or the effect of an answer is due for a question."""

    run_id: Id
    tenant: Slug
    request_id: Id
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator set the timer.")


class ResultDue(Message):
    """The wait for agents that were at work when the run ended is over: its result is due."""

    run_id: Id
    tenant: Slug
    end: int = Field(ge=0, le=2**53, description="Number of the run's end: how often it was resumed before.")
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator set the timer.")


class TimerSet(Message):
    """A record delayed until it is due. Its key identifies the timer; a record without a value clears it."""

    due: Instant
    topic: str = Field(description="Target topic, without the prefix.")
    key: str
    headers: dict[str, str]
    value: str
    parked_by: list[str] = Field(
        default_factory=list,
        max_length=10,
        description="Kill switch scopes: the record is parked until none of them is stopped, or it is due.",
    )
