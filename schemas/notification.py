"""Notifications for people that wait for their channel."""

from enum import StrEnum

from pydantic import Field

from schemas.message import Id, Instant, Message, Slug
from schemas.plan import Risk


class About(StrEnum):
    """Occasion of a notification."""

    QUESTION = "question"
    """A question was raised, or its next stage was reached."""
    REMINDER = "reminder"
    """A question still waits."""
    ESCALATION = "escalation"
    """A question waited too long: further groups may answer it."""
    EXPIRED = "expired"
    """A question was not answered in time."""
    CALL = "call"
    """A call that needed no approval was made, and people are to know."""
    BUDGET = "budget"
    """A share of a run's budget is used: half, four fifths, or all of it, which ended the run."""
    FAILED = "failed"
    """A run failed."""
    DEAD_LETTER = "dead_letter"
    """A message could not be processed."""
    TEST = "test"
    """An operator tests the channel."""


class Notification(Message):
    """A notification for one channel. The same `id` on several channels is the same occasion."""

    id: Id = Field(description="Equal for every repetition of the same occasion; receivers drop repeats by it.")
    channel: Slug = Field(description="Channel of the notifications file.")
    about: About
    tenant: str | None = Field(None, max_length=64, description="Null if it is not known.")
    at: Instant = Field(description="Time of the occasion.")
    subject: str = Field(max_length=200, description="One line.")
    text: str = Field(max_length=20_000, description="Plain text; values from agents are quoted in it.")
    run_id: Id | None = None
    request_id: Id | None = Field(None, description="The question, if it is about one.")
    agent: str | None = Field(None, max_length=64)
    task_type: str | None = Field(None, max_length=64)
    risk: Risk | None = None
    groups: list[Slug] = Field(
        default_factory=list, max_length=50, description="Groups that may answer; empty: anyone with the role `decide`."
    )
    expires: Instant | None = Field(None, description="Time at which the question expires.")
    link: str | None = Field(None, max_length=2_000, description="Page of the console about it.")
    window: Instant | None = Field(None, description="End of the digest it was collected for.")
