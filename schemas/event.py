"""Facts about a run, in the past tense: what the run log keeps and what people follow live.

A run is the fold of its events (`shared.runs.evolve`). Every event says when, by whom and why.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.acting import ActingCall
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.message import MOST, Count, Id, Instant, Message, Seconds, Slug
from schemas.plan import Plan
from schemas.step import Output
from schemas.task import Task
from schemas.verdict import Judgement, Proposal
from schemas.versions import Versions


class State(StrEnum):
    """Where a run stands."""

    INTAKE = "INTAKE"
    VALIDATING = "VALIDATING"
    PLANNING = "PLANNING"
    EXECUTING = "EXECUTING"
    REVIEWING = "REVIEWING"
    REVISING = "REVISING"
    WAITING_HUMAN = "WAITING_HUMAN"
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class RunEvent(Message):
    """Something that happened to a run."""

    run_id: Id
    tenant: Slug
    at: Instant
    by: str = Field(description="The service, agent or person it comes from.")


class RunStarted(RunEvent):
    """A task was taken in."""

    task_id: str
    source: str | None = Field(None, description="The CloudEvents source of the task event.")
    task: Task
    deadline: Instant
    traceparent: str | None = Field(None, description="W3C Trace Context: the span in which it was taken in.")
    secret: str | None = Field(None, description="What the run's tokens are derived from; no follower is shown it.")
    unread: bool = Field(False, description="The task, or the run, could not be read: `task` only stands for it.")
    resumes: Count = Field(0, description="Results that this run has published before it began again.")


class GuardrailTripped(RunEvent):
    """Something in the task was found that the guardrails' policy names. Says what and where, never the text itself."""

    guardrail: str = Field(description="The kind of what was found, such as `secret`.")
    action: str = Field(description="What was done: `mark`, `redact`, `ask` or `reject`.")
    where: str = Field(description="Which part of the task.")
    why: str
    count: int = Field(1, ge=1, le=MOST, description="How often it was found there.")


class Moved(RunEvent):
    """The run went from one state to another."""

    source: State
    target: State
    reason: str
    error: ErrorInfo | None = None
    settling: bool = Field(
        False, description="The run has ended, and agents were at work: `ResultReleased` follows with the result."
    )


class ResultReleased(RunEvent):
    """Agents that were at work when the run ended have reported, or time for that is over: the result is published."""

    unanswered: list[str] = Field(description="Handoffs without a report: calls begun for them may still complete.")
    too_large: bool = Field(False, description="The result is without what steps brought: no message holds it.")


class MoveRefused(RunEvent):
    """Somebody wanted a move that the state does not allow; nothing changed."""

    source: State
    wanted: str
    reason: str


class AnswerIgnored(RunEvent):
    """An answer came to a handoff that is not open (any more), or not from its agent; nothing changed."""

    handoff_id: str
    reason: str = Field("", description="`wrong_token` or `wrong_agent` when it is not its agent's; else empty.")


class Spent(RunEvent):
    """An agent's usage was added to the run's."""

    usage: Usage
    models: list[str]
    step_id: str | None = Field(None, description="The step it was spent on, unless a `StepDone` says so.")


class BudgetReached(RunEvent):
    """A share of the budget is used up: half of it, or so much that the run goes on by cheaper means."""

    share: float = Field(ge=0, le=MOST, description="0.5 or 0.8.")
    limit: str = Field(description="The limit that is nearest.")


class ActionsJudged(RunEvent):
    """What the gate said of an agent's actions while it worked on a handoff, with the rules that said it."""

    handoff_id: str
    judged: list[Judgement]
    acted: list[str] = Field(default_factory=list, description="What was done for good: tool and place.")
    effected: list[ActingCall] = Field(default_factory=list, description="Acting calls of the work, with outcomes.")


class DeadlineMoved(RunEvent):
    """Time spent waiting for people was given back."""

    deadline: Instant


class PlanRequested(RunEvent):
    """The planner was asked."""

    handoff_id: str


class PlanAccepted(RunEvent):
    """The plan can be carried out."""

    plan: Plan
    tainted: bool = Field(False, description="Whether the planner had read untrusted content.")


class PlanRefused(RunEvent):
    """The plan cannot be carried out, or is one that was refused before, and why not."""

    problems: list[str]
    digest: str | None = Field(None, description="Equal for plans with the same steps.")


class PlanDropped(RunEvent):
    """The plan is given up; a new one is to be made."""

    reason: str


class StepDispatched(RunEvent):
    """A step was handed to its agent."""

    step_id: str
    agent: str
    objective: str
    handoff_id: str
    attempt: Count
    versions: Versions | None = Field(None, description="Of the agent, as it has announced itself.")


class StepDone(RunEvent):
    """A step has its output."""

    step_id: str
    output: Output
    seconds: Seconds
    usage: Usage
    versions: Versions | None = Field(None, description="Of the agent that did it.")


class StepAsked(RunEvent):
    """A step needs a person. `call`: the tool call it is about, if any; `proposal`: that call, if it was not made."""

    step_id: str
    question: str
    options: list[str]
    call: str | None = None
    proposal: Proposal | None = None


class AttemptFailed(RunEvent):
    """A handoff failed. `final`: it is not tried again."""

    handoff_id: str
    error: ErrorInfo
    final: bool


class StepsReopened(RunEvent):
    """Steps are to be done again, with reasons."""

    step_ids: list[str]
    feedback: list[str]


class ReviewRequested(RunEvent):
    """The reviewer was asked."""

    handoff_id: str


class ReviewGiven(RunEvent):
    """The reviewer's verdict."""

    accepted: bool
    reasons: list[str]
    redo: list[str]


class HelpRequested(RunEvent):
    """A person is asked; the run waits."""

    request_id: str
    about: Literal["plan", "step", "review"]
    step_id: str | None
    question: str
    options: list[str]
    proposal: Proposal | None = Field(None, description="The tool call that an approval permits, if it is about one.")
    expires: Instant | None = Field(None, description="When nobody is waited for any more.")


class HelpAnswered(RunEvent):
    """A person has decided."""

    request_id: str
    decision: Literal["approve", "reject"]
    answer: str


class RunResumed(RunEvent):
    """A failed run is taken up again where it failed; what was recorded of its steps is kept."""

    deadline: Instant


class EffectsApproved(RunEvent):
    """A person has the calls made that a dry run has shown: those, in that order, and no other."""

    digest: str
    deadline: Instant


class Progressed(RunEvent):
    """What an agent is doing right now. Only shown live, at the gateway: no part of the run, and not published."""

    step_id: str
    agent: str
    doing: str
