"""What goes to agents (handoffs, imperative) and what comes back (answers, past tense)."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from schemas.acting import ActingCall
from schemas.budget import Budget, Usage
from schemas.error import ErrorInfo
from schemas.message import LONGEST_ID, MOST, MOST_SECONDS, Amount, Id, Instant, Message, Part, Seconds, Slug
from schemas.plan import AgentCard, Plan, Risk
from schemas.task import Artefact, Priority, Shape, TaskContext
from schemas.verdict import Judgement, PlannedEffect, Proposal
from schemas.versions import Versions


class Source(Part):
    """Where a statement comes from."""

    title: str
    uri: str


_LARGEST = 2**53

_Whole: TypeAlias = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
"""Integers that every reader of JSON keeps exact."""


class Fact(Part):
    """A named value that a later step may compute with."""

    name: str = Field(max_length=200)
    value: Annotated[str, StringConstraints(max_length=5_000)] | _Whole | Amount | bool


class Findings(Part):
    """What a model answers a step with. Every field is required, as strict structured output demands."""

    answer: str = Field(max_length=100_000, description="The result in Markdown, complete in itself.")
    facts: list[Fact] = Field(max_length=500, description="Values later steps may compute with.")
    sources: list[Source] = Field(description="Documents and pages the answer rests on.")
    confidence: float = Field(ge=0, le=1, description="How sure you are.")
    caveats: list[str] = Field(description="What the reader must know before relying on it.")


class Output(Findings):
    """What a step found or made: findings, and the files its tools kept."""

    facts: list[Fact] = Field(default_factory=list, max_length=500)
    sources: list[Source] = Field(default_factory=list)
    artefacts: list[Artefact] = Field(default_factory=list)
    confidence: float = Field(0.5, ge=0, le=1)
    caveats: list[str] = Field(default_factory=list)
    effects: list[PlannedEffect] = Field(default_factory=list, description="Of a dry run: the calls it did not make.")


class StepOutput(Part):
    """The output of an earlier step, given to a later one."""

    step_id: str
    agent: str
    objective: str
    output: Output


class Verdict(Part):
    """What a reviewer makes of a result."""

    accepted: bool = Field(description="Whether the result meets the objective and the constraints.")
    reasons: list[str] = Field(description="Why not; or what was checked.")
    redo: list[str] = Field(description="Ids of the steps to do again; empty: the last ones.")


REPEAT = "repeat"
"""What a person's answer begins with who knows that a call has not happened and wants it made."""


class Settlement(Part):
    """What a person said about a call: one whose outcome is unknown, or one that nobody may make without a person.

    It allows one call, not one at each delivery.
    """

    request_id: Id
    answer: str
    asked: Literal["outcome", "permission"] = "outcome"
    digest: str | None = Field(None, description="Of the call that may be made; no other one may.")
    until: Instant | None = Field(None, description="When the permission is of no use any more.")

    @property
    def repeats(self) -> bool:
        """Whether it lets a call be made, rather than saying that it has happened."""
        return self.asked == "permission" or self.answer.lower().startswith(REPEAT)

    def permits(self, digest: str | None, now: datetime) -> bool:
        """Whether the call with that digest may be made now. A call of unknown outcome is known by its place alone."""
        this_one = self.digest == digest if self.asked == "permission" else True
        return self.repeats and this_one and (self.until is None or now <= self.until)


class Handoff(Message):
    """A typed request to one agent."""

    id: Id = Field(description="Deterministic: the same request always has the same id.")
    work_id: Id = Field("-", description="Names the work: equal for every attempt at it. `-`: the handoff's own id.")
    run_id: Id
    task_id: str
    parent_id: str | None = Field(None, description="The message that caused this one.")
    tenant: Slug
    agent: Slug
    objective: str
    task_objective: str = Field("", description="What the caller asked for, word for word.")
    destinations: list[str] = Field(default_factory=list, description="Where the caller lets data go, besides.")
    context: TaskContext = Field(default_factory=TaskContext)
    inputs: list[StepOutput] = Field(default_factory=list)
    constraints: list[str] = Field(default_factory=list)
    feedback: list[str] = Field(default_factory=list, description="Why an earlier try was not accepted.")
    budget: Budget | None = Field(None, description="The limits of the whole run, for what all its steps share.")
    budget_left: Budget = Field(description="What was left of them when this was asked.")
    frugal: bool = Field(False, description="The budget is nearly used up: cheaper models, shorter replies.")
    timeout: float = Field(gt=0, le=MOST_SECONDS, description="Seconds the agent may work.")
    deadline: Instant
    attempt: int = Field(1, ge=1, le=MOST)
    priority: Priority = Priority.NORMAL
    settled: dict[str, Settlement] = Field(
        default_factory=dict, description="Calls that a person was asked about → what was said."
    )
    permitted: list[str] | None = Field(
        None, description="The only tools that may be called; None: every one there is."
    )
    hop: int = Field(1, ge=1, le=MOST, description="How many handoffs led here, this one counted.")
    dry_run: bool = False
    session: str | None = None
    token: str | None = Field(
        None, max_length=LONGEST_ID, description="What the answer repeats, as proof of its author."
    )
    effected: list[ActingCall] = Field(
        default_factory=list, description="Acting calls of the run so far, in any plan, and their outcomes."
    )
    effected_dropped: int = Field(0, ge=0, le=MOST, description="Earlier acting calls that are not in that list.")

    @property
    def idempotency_key(self) -> str:
        """Names the effect that is asked for: equal on every delivery of every attempt at this work."""
        return self.id if self.work_id == "-" else self.work_id

    @property
    def tries(self) -> int:
        """Which handoff of this work it is, counted from 1."""
        last = self.id.rpartition(".")[2]
        return int(last) if last.isdecimal() else 1


class MakePlan(Handoff):
    """Ask the planner for a plan; it carries nothing out."""

    shape: Shape
    agents: list[AgentCard]
    max_steps: int = Field(ge=1, le=MOST)


class DoStep(Handoff):
    """Ask a specialist to carry out one step."""

    step_id: Slug
    tools: list[str] = Field(default_factory=list)
    risk: Risk = Field(Risk.LOW, description="What the planner thinks the step may cost if it goes wrong.")
    acted: list[str] = Field(default_factory=list, description="What the run has done for good: tool and place.")
    effects: list[PlannedEffect] = Field(
        default_factory=list, description="Calls a person has approved: they are made in this order, and nothing else."
    )
    plan_is_tainted: bool = Field(False, description="Whether who wrote the objective had read untrusted content.")


class ReviewResult(Handoff):
    """Ask the reviewer whether the outputs meet the objective and the constraints."""

    plan: Plan


class Answer(Message):
    """What an agent reports to the run it works for."""

    id: Id
    run_id: Id
    tenant: Slug
    agent: Slug
    handoff_id: Id
    token: str | None = Field(
        None, max_length=LONGEST_ID, description="The handoff's, which its agent alone was given."
    )
    usage: Usage = Usage()
    models: list[str] = Field(default_factory=list)
    versions: Versions | None = Field(None, description="Of the agent that answers, and of what it works with.")
    seconds: Seconds = 0.0
    judged: list[Judgement] = Field(default_factory=list, description="What the gate said in this try, in order.")
    acted: list[str] = Field(default_factory=list, description="What was done for good: tool and place.")
    effected: list[ActingCall] = Field(
        default_factory=list, description="Acting calls of this work until now, and their outcomes."
    )


def answer_id(handoff_id: str) -> str:
    """The id of the answer to a handoff: there is one, however often it is given."""
    return f"{handoff_id}/answer"


class PlanProposed(Answer):
    """The planner's answer to `MakePlan`."""

    plan: Plan
    tainted: bool = Field(False, description="Whether the planner had read untrusted content.")


class StepCompleted(Answer):
    """A specialist's answer to `DoStep`."""

    output: Output


class ResultReviewed(Answer):
    """The reviewer's answer to `ReviewResult`."""

    accepted: bool
    reasons: list[str] = Field(default_factory=list)
    redo: list[Slug] = Field(default_factory=list, description="Steps to do again; empty: the last ones.")


class HandoffFailed(Answer):
    """An agent could not do what it was asked."""

    error: ErrorInfo


class HelpAsked(Answer):
    """An agent needs a person's decision before it can go on."""

    question: str
    options: list[str] = Field(default_factory=list)
    call: str | None = Field(None, description="The tool call that it is about, if it is about one.")
    proposal: Proposal | None = Field(None, description="That call, if it was not made and a person may permit it.")
