"""Runs: lists, the state of one, and what waits for a person."""

from pydantic import Field, JsonValue

from schemas.budget import Budget, Usage
from schemas.error import ErrorInfo
from schemas.event import HelpRequested, State
from schemas.message import Instant, Part
from schemas.plan import Plan
from schemas.question import Delegation, Vote
from schemas.task import StepSummary

_REASON = "Reason for the state."
_NEXT = "Offset of the next page; null on the last one."


class RunSummary(Part):
    """A run in a list."""

    run_id: str
    state: State
    objective: str
    started: Instant
    finished: Instant | None
    reason: str = Field(description=_REASON)
    steps_done: int
    steps_total: int
    cost_usd: float
    unreadable: bool = Field(
        False, description="True if the run's record cannot be read; `reason` has the cause. It can be cancelled."
    )


class RunPage(Part):
    """Runs, newest first."""

    runs: list[RunSummary]
    next_offset: int | None = Field(description=_NEXT)


class QuestionView(Part):
    """An open question of a run."""

    asked: HelpRequested
    stage: int = Field(0, ge=0, description="Index of the stage whose people are asked now.")
    votes: list[Vote] = Field(default_factory=list, description="Answers so far.")
    delegations: list[Delegation] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list, description="Groups that may answer now; empty: all who decide.")
    reminded: int = Field(0, ge=0, description="Number of reminders so far.")
    effective: Instant | None = Field(
        None, description="Time at which the decision takes effect; until then it can be withdrawn."
    )


class ApprovalView(QuestionView):
    """A question that a run waits for."""

    run_id: str
    objective: str
    usage: Usage = Field(description="Used by the run so far.")
    budget: Budget


class ApprovalPage(Part):
    """Questions, those of the newest runs first."""

    approvals: list[ApprovalView]
    unreadable: list[RunSummary] = Field(
        default_factory=list, description="Runs that wait for a person and have unreadable records."
    )
    next_offset: int | None = Field(description=_NEXT)


class ParkedWork(Part):
    """Work stopped by an operator; it resumes when the stop is lifted."""

    handoff_id: str
    agent: str
    reason: str = Field(description="The stop, its operator and the reason.")


class RunView(Part):
    """The present state of a run."""

    run_id: str
    task_id: str
    tenant: str
    state: State
    settling: bool = Field(
        False, description="True if the run has ended and the result still waits for agents at work to report."
    )
    reason: str = Field(description=_REASON)
    objective: str
    started: Instant
    deadline: Instant | None
    finished: Instant | None
    version: int = Field(description="Rises with every change; 0 before the first.")
    plan: Plan | None
    steps: list[StepSummary] = Field(description="In the plan's order.")
    usage: Usage
    budget: Budget | None = Field(None, description="Limits of the run; null before it starts.")
    models: list[str]
    waiting_for: HelpRequested | None = Field(description="The first open question that a person has to answer.")
    questions: list[QuestionView] = Field(
        default_factory=list, description="All open questions. Steps that do not depend on them proceed."
    )
    error: ErrorInfo | None
    parked: list[ParkedWork] = Field(default_factory=list, description="Work in progress that an operator has stopped.")


class JournalView(Part):
    """The journal of a handoff: prompts, replies and tool results by entry."""

    entries: dict[str, JsonValue]
