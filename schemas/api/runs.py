"""Runs: lists, the state of one, and what waits for a person."""

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue, field_validator

from schemas.budget import Budget, Usage
from schemas.caller_message import CallerMessage, Rating
from schemas.error import ErrorInfo
from schemas.event import Evaluation, State
from schemas.message import Id, Instant, Part, Slug
from schemas.plan import Plan
from schemas.question import Delegation, Vote
from schemas.question_events import HelpRequested
from schemas.task import StepSummary

LONGEST_OBSTACLE = 500
"""Characters of what holds up a run."""

_REASON = "Reason for the state."
_NEXT = "Offset of the next page; null on the last one, and after a `cursor`."
_CURSOR = "`cursor` of the next page; null on the last one. It stays valid while runs start and change."


class RunSummary(Part):
    """A run in a list."""

    run_id: str
    state: State
    objective: str = Field(description="The first 500 characters.")
    started: Instant
    finished: Instant | None
    reason: str = Field(description=_REASON)
    steps_done: int
    steps_total: int
    cost_usd: float
    unreadable: bool = Field(
        False, description="True if the run's record cannot be read; `reason` has the cause. It can be cancelled."
    )
    type: str | None = Field(None, description="Type of the task.")
    agents: list[str] = Field(default_factory=list, description="Agents of its plan.")
    retrying: bool = Field(False, description="True while a failed attempt at some work is repeated.")
    waiting_since: Instant | None = Field(None, description="Time of its oldest open question.")
    over_budget: bool = Field(
        False, description="True if it has used 80 % of a limit of its budget, or ended because a limit was reached."
    )
    solved: Literal["yes", "no", "mixed"] | None = Field(
        None, description="Feedback of people: if the run solved their problem; null without any."
    )
    failed_checks: list[str] = Field(
        default_factory=list, description="Automatic checks that the ended run did not pass, if it was sampled."
    )
    held_up: str = Field(
        "",
        max_length=LONGEST_OBSTACLE,
        description="Stops and silent agents that its work in progress waits for; empty if nothing holds it up.",
    )


class RunFilter(Part):
    """Conditions on runs, all of which must hold. An unknown one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    state: State | None = Field(None, description="In this state.")
    agent: Slug | None = Field(None, description="With a step of this agent.")
    type: Slug | None = Field(None, description="With this type of task.")
    session: Id | None = Field(None, description="Of this session.")
    since: Instant | None = Field(None, description="Started at or after this time.")
    until: Instant | None = Field(None, description="Started before this time.")
    text: str | None = Field(
        None, max_length=200, description="With all these words among the first 32 of the objective, in any case."
    )
    retrying: bool = Field(False, description="A failed attempt at some work is being repeated.")
    waiting: bool = Field(False, description="A question has been open for more than an hour.")
    over_budget: bool = Field(False, description="80 % of a limit of the budget is used, or it ended by a limit.")
    solved: Literal["yes", "no", "mixed"] | None = Field(None, description="With this feedback of people.")
    to_review: bool = Field(False, description="An automatic check failed, and no person has given feedback yet.")
    stopped: bool = Field(False, description="Work of it, or the run itself, is stopped by the kill switch.")

    @field_validator("text")
    @classmethod
    def _few_words(cls, text: str | None) -> str | None:
        if text is not None and not 1 <= len(text.split()) <= MOST_WORDS:
            raise ValueError(f"give 1 to {MOST_WORDS} words")
        return text

    @property
    def empty(self) -> bool:
        """True if every run matches."""
        return all(getattr(self, name) in (None, False) for name in RunFilter.model_fields)


MOST_WORDS = 8
"""Words that a search for text takes."""


class RunQuery(RunFilter):
    """A page of the runs that match."""

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    limit: int = Field(50, ge=1, le=200, description="Maximum runs on a page.")
    cursor: str | None = Field(
        None,
        pattern=r"^[0-9.e+-]{1,40}~[\x21-\x7e]{1,255}$",
        description="An earlier `next_cursor`: the page after it.",
    )
    offset: int = Field(
        0, ge=0, le=1_000_000, description="Number of runs to skip; `cursor` neither skips nor repeats runs."
    )
    recorded: bool = Field(
        False,
        description="Ended runs as the audit record has them, the latest end first; also those that have left Redis. "
        "Without `offset` and `indexing`.",
    )


class RunPage(Part):
    """Runs, newest first."""

    runs: list[RunSummary]
    next_offset: int | None = Field(description=_NEXT)
    next_cursor: str | None = Field(None, description=_CURSOR)
    indexing: bool = Field(
        False, description="True while runs of an earlier release are being indexed: filters may not find them yet."
    )


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


class ApprovalOrder(StrEnum):
    """Order of open questions."""

    AGE = "age"
    RISK = "risk"


class ApprovalQuery(Part):
    """A page of open questions."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    order: ApprovalOrder = Field(
        ApprovalOrder.AGE,
        description="`age`: those of the longest waiting runs first; `risk`: the riskiest first, then the oldest.",
    )
    limit: int = Field(
        50, ge=1, le=1_000, description="Maximum runs on a page; in the order `risk`, maximum questions."
    )
    offset: int = Field(0, ge=0, le=1_000_000, description="Offset of the page: an earlier `next_offset`.")
    cursor: str | None = Field(
        None,
        pattern=r"^[0-9] [0-9]{1,20} [\x21-\x7e]{1,255} [\x21-\x7e]{1,255}$",
        description="An earlier `next_cursor`, or the `place` of a question: the page after it, in the order `risk`.",
    )
    run_id: list[Id] = Field(
        default_factory=list, max_length=100, description="Only questions of these runs, in the order `risk`."
    )


class ApprovalView(QuestionView):
    """A question that a run waits for."""

    run_id: str
    objective: str
    usage: Usage = Field(description="Used by the run so far.")
    budget: Budget
    place: str | None = Field(None, description="Place in the order `risk`: the `cursor` of the questions after it.")


class ApprovalPage(Part):
    """Questions in the order that was asked for."""

    approvals: list[ApprovalView]
    unreadable: list[RunSummary] = Field(
        default_factory=list, description="Runs that wait for a person and have unreadable records."
    )
    next_offset: int | None = Field(description=_NEXT)
    next_cursor: str | None = Field(None, description="`cursor` of the next page in the order `risk`.")
    total: int | None = Field(None, description="Number of open questions; null unless in the order `risk`.")
    before: int | None = Field(None, description="Number of questions before this page, in the order `risk`.")
    indexing: bool = Field(
        False, description="True while runs of an earlier release are being indexed: questions may be missing yet."
    )


class ParkedWork(Part):
    """Work stopped by an operator; it resumes when the stop is lifted."""

    handoff_id: str
    agent: str
    reason: str = Field(description="The stop, its operator and the reason.")


class AbsentAgent(Part):
    """An agent that a run waits for, and of which no replica seems to run. Its work resumes when one is started."""

    agent: str
    seen: Instant | None = Field(description="Time of its last announcement; null if none is known.")


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
    session: str | None = Field(None, description="Session of the task, if any: `GET /v1/sessions` lists them.")
    messages: list[CallerMessage] = Field(
        default_factory=list, description="Messages that callers have added since it started."
    )
    ratings: list[Rating] = Field(default_factory=list, description="Latest feedback of each person on the ended run.")
    evaluation: Evaluation | None = Field(None, description="Automatic checks of the ended run, if it was sampled.")
    parked: list[ParkedWork] = Field(default_factory=list, description="Work in progress that an operator has stopped.")
    absent: list[AbsentAgent] = Field(
        default_factory=list, description="Agents that hold up the run because they do not seem to be running."
    )


class JournalView(Part):
    """The journal of a handoff: prompts, replies and tool results by entry."""

    entries: dict[str, JsonValue]
