"""Requests to agents (handoffs, imperative) and their answers (past tense)."""

from typing import Literal, TypeAlias

from pydantic import Field

from schemas.acting import ActingCall
from schemas.brief import Brief, Colleague, HandedBrief
from schemas.budget import Budget, Usage
from schemas.caller_message import MOST_MESSAGES, CallerMessage
from schemas.conflict import MOST_CONFLICTS, Conflict
from schemas.conversation import Conversation
from schemas.error import ErrorInfo
from schemas.fact import Fact, Source
from schemas.message import (
    LONGEST_ID,
    MOST,
    MOST_SECONDS,
    Count,
    Id,
    Instant,
    JsonObject,
    Message,
    Part,
    Seconds,
    Slug,
)
from schemas.plan import AgentCard, Plan, Risk
from schemas.question import Background, Kind
from schemas.settlement import Settlement
from schemas.task import Artefact, Priority, Shape, TaskContext
from schemas.verdict import Judgement, PlannedEffect, Proposal
from schemas.versions import Versions


class Findings(Part):
    """A model's answer to a step. Every field is required, as strict structured output demands."""

    answer: str = Field(max_length=100_000, description="The result in Markdown, complete in itself.")
    facts: list[Fact] = Field(max_length=500, description="Values later steps may compute with.")
    sources: list[Source] = Field(description="Documents and pages the answer rests on.")
    confidence: float = Field(ge=0, le=1, description="Your confidence in the answer.")
    caveats: list[str] = Field(description="Limitations the reader must know.")


class Output(Findings):
    """Output of a step: findings, and the files its tools kept."""

    facts: list[Fact] = Field(default_factory=list, max_length=500)
    sources: list[Source] = Field(default_factory=list)
    artefacts: list[Artefact] = Field(default_factory=list)
    confidence: float = Field(0.5, ge=0, le=1)
    caveats: list[str] = Field(default_factory=list)
    effects: list[PlannedEffect] = Field(default_factory=list, description="Of a dry run: the calls it did not make.")
    data: JsonObject | None = Field(
        None, description="The result in the agent's own type, which its card describes; null: findings only."
    )


class Synthesis(Findings):
    """A writer's one answer from the outputs of all steps."""

    conflicts: list[Conflict] = Field(
        max_length=MOST_CONFLICTS, description="Disagreements between steps; empty if there is none."
    )


class StepOutput(Part):
    """The output of an earlier step, input of a later one."""

    step_id: str
    agent: str
    objective: str
    output: Output


class Verdict(Part):
    """A reviewer's assessment of a result."""

    accepted: bool = Field(description="True if the result meets the objective and the constraints.")
    reasons: list[str] = Field(description="Reasons for a refusal; else the checks made.")
    redo: list[str] = Field(
        description="Ids of the steps to redo; empty: the synthesis alone, or the last steps if there is none."
    )


class Handoff(Message):
    """A typed request to one agent."""

    id: Id = Field(description="Deterministic: the same request always has the same id.")
    work_id: Id = Field("-", description="Identifies the work; equal for all its attempts. `-`: the handoff's own id.")
    run_id: Id
    task_id: str
    parent_id: str | None = Field(
        None, description="Id of the message that caused this one: the task's, or the answer of an earlier handoff."
    )
    tenant: Slug
    agent: Slug
    objective: str
    task_objective: str = Field("", description="Objective of the caller, verbatim.")
    destinations: list[str] = Field(default_factory=list, description="Destinations the caller permits in addition.")
    context: TaskContext = Field(default_factory=TaskContext)
    inputs: list[StepOutput] = Field(default_factory=list)
    constraints: list[str] = Field(default_factory=list)
    feedback: list[str] = Field(default_factory=list, description="Reason an earlier attempt was not accepted.")
    budget: Budget | None = Field(None, description="Limits of the whole run, for resources that all its steps share.")
    budget_left: Budget = Field(description="Remaining budget at the time of the request.")
    frugal: bool = Field(False, description="The budget is nearly used up: cheaper models, shorter replies.")
    timeout: float = Field(gt=0, le=MOST_SECONDS, description="Time limit for the agent, in seconds.")
    deadline: Instant
    attempt: int = Field(1, ge=1, le=MOST)
    priority: Priority = Priority.NORMAL
    settled: dict[str, Settlement] = Field(
        default_factory=dict, description="Human decisions by the call they concern."
    )
    permitted: list[str] | None = Field(None, description="The only tools that may be called; None: no restriction.")
    hop: int = Field(
        1,
        ge=1,
        le=MOST,
        description="Position in its chain of steps, from 1. In shape `swarm`, `budget.steps` at most.",
    )
    dry_run: bool = False
    memory: bool = Field(True, description="Memories of earlier runs may be recalled.")
    session: str | None = None
    conversation: Conversation | None = Field(None, description="Earlier turns of the task's session: material.")
    messages: list[CallerMessage] = Field(
        default_factory=list, max_length=MOST_MESSAGES, description="Messages of callers since the run started."
    )
    token: str | None = Field(
        None, max_length=LONGEST_ID, description="Token that the answer repeats, as proof of its author."
    )
    effected: list[ActingCall] = Field(
        default_factory=list, description="Acting calls of the run so far, in any plan, with their outcomes."
    )
    effected_dropped: int = Field(0, ge=0, le=MOST, description="Earlier acting calls that are missing from that list.")

    @property
    def idempotency_key(self) -> str:
        """Identify the requested effect: equal for every delivery and attempt of this work."""
        return self.id if self.work_id == "-" else self.work_id

    @property
    def tries(self) -> int:
        """Return the number of this handoff within its work, counted from 1."""
        last = self.id.rpartition(".")[2]
        return int(last) if last.isdecimal() else 1


PlannedShape: TypeAlias = Literal[Shape.AUTO, Shape.SINGLE, Shape.ROUTER, Shape.SUPERVISOR]
"""Shapes that planners know. Those of earlier versions could not read another one."""


class MakePlan(Handoff):
    """Ask the planner for a plan; nothing is executed."""

    shape: PlannedShape = Field(description="`router` also for the first agent of a swarm: one specialist is picked.")
    agents: list[AgentCard]
    max_steps: int = Field(ge=1, le=MOST)


class DoStep(Handoff):
    """Ask a specialist to do one step."""

    step_id: Slug
    tools: list[str] = Field(default_factory=list)
    risk: Risk = Field(Risk.LOW, description="The planner's estimate of the potential damage.")
    acted: list[str] = Field(default_factory=list, description="Irreversible effects of the run: tool and place.")
    effects: list[PlannedEffect] = Field(
        default_factory=list, description="Calls a person has approved: exactly these are made, in this order."
    )
    plan_is_tainted: bool = Field(False, description="True if the author of the objective had read untrusted content.")
    path: list[Slug] = Field(
        default_factory=list, max_length=40, description="Shape `swarm`: the agents so far, this one last; else empty."
    )
    colleagues: list[Colleague] = Field(
        default_factory=list, max_length=1_000, description="Agents that the work may be handed over to."
    )
    must_answer: str = Field(
        "", max_length=1_000, description="Shape `swarm`: reason why the work may not be handed over; empty: it may be."
    )
    handed: HandedBrief | None = Field(None, description="The brief that the work was handed over with.")


class ReviewResult(Handoff):
    """Ask the reviewer to check the outputs against the objective and the constraints."""

    plan: Plan
    synthesis: Synthesis | None = Field(None, description="The writer's answer from the outputs, if there is one.")


class Answer(Message):
    """An agent's report to the run it works for."""

    id: Id
    run_id: Id
    tenant: Slug
    agent: Slug
    handoff_id: Id
    token: str | None = Field(None, max_length=LONGEST_ID, description="The handoff's token, known only to its agent.")
    usage: Usage = Usage()
    models: list[str] = Field(default_factory=list)
    versions: Versions | None = Field(None, description="Versions of the answering agent and its parts.")
    messages_read: Count | None = Field(
        None, description="Number of callers' messages that its model has read; null: not known."
    )
    seconds: Seconds = 0.0
    judged: list[Judgement] = Field(default_factory=list, description="Verdicts of the gate in this attempt, in order.")
    acted: list[str] = Field(default_factory=list, description="Irreversible effects: tool and place.")
    effected: list[ActingCall] = Field(
        default_factory=list, description="Acting calls of this work so far, with their outcomes."
    )


def answer_id(handoff_id: str) -> str:
    """Return the id of the answer to a handoff; unique, so that repeated answers are one."""
    return f"{handoff_id}/answer"


class PlanProposed(Answer):
    """The planner's answer to `MakePlan`."""

    plan: Plan
    tainted: bool = Field(False, description="True if the planner had read untrusted content.")


class StepCompleted(Answer):
    """A specialist's answer to `DoStep`."""

    output: Output


class HandedOff(Answer):
    """A specialist hands its work over to another, in a run of shape `swarm`."""

    to: Slug
    brief: Brief
    brief_digest: str = Field(max_length=64, description="SHA-256 of the brief as canonical JSON.")
    tainted: bool = Field(False, description="True if its author had read untrusted content.")
    effects: list[PlannedEffect] = Field(default_factory=list, description="Of a dry run: the calls it did not make.")
    caveats: list[str] = Field(default_factory=list)


class ResultReviewed(Answer):
    """The reviewer's answer to `ReviewResult`."""

    accepted: bool
    reasons: list[str] = Field(default_factory=list)
    redo: list[Slug] = Field(default_factory=list, description="Steps to redo; empty: the synthesis, or the last ones.")


class HandoffFailed(Answer):
    """An agent could not do the requested work."""

    error: ErrorInfo


class HelpAsked(Answer):
    """An agent needs a human decision before it can continue."""

    question: str
    options: list[str] = Field(default_factory=list)
    call: str | None = Field(None, description="Tool call concerned, if any.")
    proposal: Proposal | None = Field(None, description="That call, if it was not made and a person may permit it.")
    kind: Kind | None = Field(None, description="Subject of the question; null: as `call` and `proposal` say.")
    background: Background | None = Field(None, description="Circumstances, if the question is not about a tool call.")
