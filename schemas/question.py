"""Questions to people: what may be answered, who must answer, until when, and what happens then."""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.budget import Usage
from schemas.message import MOST_SECONDS, Instant, Part, Slug


class Reply(StrEnum):
    """Answer of a person."""

    APPROVE = "approve"
    """Do it as shown."""
    EDIT = "edit"
    """Do it with other arguments, which the gate judges again."""
    RESPOND = "respond"
    """Do not do it; the agent continues with the person's words. Of an agent's own question: the answer."""
    REJECT = "reject"
    """Do not do it; the run is planned again with the reason."""
    SKIP = "skip"
    """Do not do it; the work continues without it."""


class Kind(StrEnum):
    """Subject of a question."""

    CALL = "call"
    """A tool call that needs an approval."""
    PLAN = "plan"
    """A plan with risky steps, before any of them runs."""
    REVIEW = "review"
    """A result that the reviewer did not accept, or could not review."""
    QUESTION = "question"
    """An agent's own question."""
    OUTCOME = "outcome"
    """A tool call of which no one knows if it happened."""
    FAILURE = "failure"
    """A step, or the planning, that keeps failing."""
    TASK = "task"
    """A task in which a guardrail tripped."""


class Offer(Part):
    """An answer that a question takes, with its effect."""

    answer: Reply
    effect: str = Field(max_length=2_000)


class Stage(Part):
    """People of whom some must approve; the stages of a question follow one another."""

    groups: list[Slug] = Field(
        default_factory=list, max_length=50, description="Groups that may answer; empty: anyone with the role `decide`."
    )
    needed: int = Field(1, ge=1, le=50, description="Number of different people who must approve.")


OnExpiry: TypeAlias = Literal["fail", "reject", "reverify", "resume"]
"""Consequence of a question that was not answered in time: the run fails; it is planned again; the reads behind the
call are repeated, and it is made if they are unchanged; it is made as it is."""

Stages: TypeAlias = Annotated[list[Stage], Field(min_length=1, max_length=10)]


class Terms(Part):
    """People who must answer a question, and the time they have."""

    stages: Stages = Field(default_factory=lambda: [Stage()])
    separate: bool = Field(False, description="True if the person who requested the task may not approve.")
    on_expiry: OnExpiry = "fail"
    undo: float = Field(0, ge=0, le=MOST_SECONDS, description="Seconds for which a decision can be withdrawn.")
    remind: float = Field(0, ge=0, le=MOST_SECONDS, description="Seconds between reminders; 0: none.")
    escalate_after: float = Field(0, ge=0, le=MOST_SECONDS, description="Seconds until others are asked; 0: never.")
    escalate_to: list[Slug] = Field(default_factory=list, max_length=50)


class Background(Part):
    """Circumstances of a question that is not about a tool call."""

    agent: Slug | None = None
    doing: str = Field("", max_length=20_000, description="Objective of the work that asks.")
    confidence: float | None = Field(None, ge=0, le=1, description="The model's confidence, if it gave one.")
    origins: list[str] = Field(default_factory=list, max_length=50, description="Untrusted content it has read.")
    tried: list[str] = Field(default_factory=list, max_length=50, description="Earlier calls or attempts.")
    usage: Usage = Field(default_factory=Usage)


class Vote(Part):
    """An answer of one person."""

    by: str = Field(max_length=200)
    person: str = Field(max_length=200, description="Person behind `by`: several keys of one person are one.")
    reply: Reply
    answer: str = Field("", max_length=20_000)
    arguments: str | None = Field(None, description="Of an edit: the new arguments, as JSON.")
    stage: int = Field(0, ge=0, le=10)
    at: Instant


class Delegation(Part):
    """A right to answer that one person has passed to another."""

    by: str = Field(max_length=200)
    to: str = Field(max_length=200)
    person: str | None = Field(None, max_length=200, description="Person behind `to`, if that is another name.")
    stage: int = Field(0, ge=0, le=10, description="Stage of the question for which it counts.")
