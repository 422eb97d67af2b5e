"""What a run is at one moment: the fold of its events."""

from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field

from schemas.acting import ActingCall
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import HelpRequested, ReviewGiven, State
from schemas.message import Part
from schemas.plan import Plan, PlannedStep
from schemas.step import Output, Settlement, answer_id
from schemas.task import Task
from schemas.verdict import PlannedEffect, Proposal
from schemas.versions import Versions
from shared.runs.machine import ENDS

StepStatus = Literal["waiting", "running", "asking", "done", "failed"]


class StepRecord(Part):
    """One step of the accepted plan and how far it is."""

    step: PlannedStep
    status: StepStatus = "waiting"
    handoff_id: str | None = None
    round: int = 0
    """How often it was begun anew as other work: after a revision, or an answer to a question of its own."""
    tries: int = 0
    """Handoffs of this round."""
    attempts: int = 0
    """Of those, since an operator or a person let it go on."""
    feedback: list[str] = Field(default_factory=list)
    question: str | None = None
    options: list[str] = Field(default_factory=list)
    uncertain: str | None = None
    """The call that the question is about."""
    proposal: Proposal | None = None
    """That call, if it was not made and an approval permits it; otherwise its outcome is unknown."""
    deadline: datetime | None = None
    """That of the run when the last handoff was dispatched: the agent knows no later one."""
    settled: dict[str, Settlement] = Field(default_factory=dict)
    """Calls that were asked about → what a person said."""
    effects: list[PlannedEffect] = Field(default_factory=list)
    """Calls a person has approved: what is to be done instead of letting the agent work."""
    output: Output | None = None
    shown: Output | None = None
    """What the dry run had brought, once its calls are approved."""
    output_before: str | None = None
    """Digest of the output that the reviewer has not accepted, once the step is to be done again."""
    error: ErrorInfo | None = None
    seconds: float = 0.0
    usage: Usage = Usage()
    versions: Versions | None = None


class Job(Part):
    """A plan or a review that has been asked for. `handoff_id` is None when no answer is awaited."""

    handoff_id: str | None = None
    round: int = 0
    """How often it was asked for anew: after a plan was refused, a review given, a person's answer."""
    tries: int = 0
    """Handoffs of this round."""
    attempts: int = 0
    """Of those, since an operator let it go on."""
    deadline: datetime | None = None
    """That of the run when it was asked for last."""
    refusals: int = 0
    given_up: bool = False
    error: ErrorInfo | None = None


class Run(Part):
    """The state of one run."""

    id: str
    task_id: str
    source: str | None = None
    """The CloudEvents source of the task; None for a run that an earlier version began."""
    tenant: str
    task: Task
    state: State = State.INTAKE
    started: datetime
    deadline: datetime
    finished: datetime | None = None
    reason: str = "the task was taken in"
    error: ErrorInfo | None = None

    planning: Job = Job()
    reviewing: Job = Job()
    plan: Plan | None = None
    plan_is_tainted: bool = False
    """Whether who made it had read untrusted content."""
    refused_plans: list[str] = Field(default_factory=list)
    """Digests of the plans that were refused, or dropped because a person has rejected them."""
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    review: ReviewGiven | None = None
    feedback: list[str] = Field(default_factory=list)

    handoffs: int = 0
    replans: int = 0
    resumes: int = 0
    revisions: int = 0
    acted: list[str] = Field(default_factory=list)
    """What was done for good, tool and place: a second time a person is asked."""
    effected: list[ActingCall] = Field(default_factory=list)
    """Acting calls of all its plans and their outcomes, one for each place."""
    effected_dropped: int = 0
    """Earlier ones that were dropped to keep the record small."""
    carried_out_by: str | None = None
    """Who has had the calls made that this dry run has shown; None: they were only shown."""
    usage: Usage = Usage()
    budget_reached: float = 0.0
    """The highest share of the budget that was noticed: none, half, or FRUGAL_FROM."""
    models: list[str] = Field(default_factory=list)

    caveats: list[str] = Field(default_factory=list)
    """What the guardrails have found in the task and let pass, or taken out."""

    unanswered: list[str] = Field(default_factory=list)
    """Handoffs that are not awaited any more, of a dropped plan or at the end, and have not been answered."""
    settling: bool = False
    """The run has ended, and its result waits for those who have not answered."""

    request: HelpRequested | None = None
    requests: int = 0
    waiting_from: State | None = None
    paused_from: State | None = None
    paused_at: datetime | None = None
    failed_from: State | None = None

    traceparent: str | None = None
    """The span it was taken in with: its trace."""
    secret: str | None = None
    """What its tokens are derived from; None for a run that an earlier version began."""
    unread: bool = False
    """True if the task or an earlier record of the run could not be read: `task` only stands for it."""

    @property
    def over(self) -> bool:
        """Return true once the run has ended and its result is published."""
        return self.state in ENDS and not self.settling


FRUGAL_FROM = 0.8
"""The share of any limit from which a run goes on by cheaper means: the cheap model, shorter replies."""

NOTICED = (0.5, FRUGAL_FROM)
"""The shares that are events."""

MAX_PLANS = 3
"""How many plans may be refused before the run gives up planning."""

TOO_LARGE = "run_too_large"
"""The error of a run that ended because what its steps have brought is more than a message holds."""

LOOP = "loop"
"""The error of a run that would only do again what it has done."""

MAX_ATTEMPTS = 12
"""How often one handoff is tried whose failures are all retryable: with the delays between them about a minute and a
half, so that a dependency may be away for half a minute."""

MAX_REPLANS = 2
"""How often a person's rejection leads to a new plan."""

MAX_REVISIONS = 2
"""How often the reviewer may ask for changes."""


def handoff_name(run: Run, what: str, work: Job | StepRecord, number: int) -> str:
    """`<run>/<what>/<plans given up>.<round>.<try>`: the same for the same request, in whatever order things come."""
    return f"{run.id}/{what}/{run.replans}.{work.round}.{number}"


def effect_call(number: int) -> str:
    """The place of an approved call in the work of making them, counted from 1."""
    return f"effect/call-{number}"


def last_answer_id(run: Run, record: StepRecord) -> str:
    """The id of the answer to the last handoff of a step."""
    return answer_id(handoff_name(run, record.step.id, record, record.tries))


def run_id_for(tenant: str, key: str | None, source: str = "", task_id: str = "") -> str:
    """The id of a task's run: the same idempotency key of a tenant is the same run.

    A task without a key is named by its event's source and id together: two systems may use the same ids.
    """
    named = f"{tenant}:{key}" if key else f"{tenant}\0{source}\0{task_id}"
    return f"run-{uuid5(NAMESPACE_URL, f'waggle:{named}').hex}"
