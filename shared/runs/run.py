"""State of a run at one moment: the fold of its events."""

from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import ConfigDict, Field, model_validator

from schemas.acting import ActingCall
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import ENDS, HelpRequested, ReviewGiven, State
from schemas.message import Part
from schemas.plan import Plan, PlannedStep
from schemas.question import Background, Delegation, Kind, Reply, Vote
from schemas.step import Output, Settlement, answer_id
from schemas.task import Task
from schemas.verdict import PlannedEffect, Proposal
from schemas.versions import Versions

StepStatus = Literal["waiting", "running", "asking", "done", "failed"]


class HandoffState(Part):
    """Handoffs of one unit of work: the current one, and counters. Two counters keep older names where stored."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    handoff_id: str | None = None
    """The handoff whose answer is awaited; None if none is."""
    round: int = 0
    """Number of restarts as different work: after a revision, a refused plan, a review or a person's answer."""
    handoffs_in_round: int = Field(default=0, alias="tries")
    """Handoffs sent in this round."""
    attempts_since_resume: int = Field(default=0, alias="attempts")
    """Handoffs sent in this round since an operator or a person last resumed the work."""
    deadline: datetime | None = None
    """Deadline of the run when the last handoff was sent: the agent knows no later one."""


class StepRecord(HandoffState):
    """One step of the accepted plan and its progress."""

    step: PlannedStep
    status: StepStatus = "waiting"
    feedback: list[str] = Field(default_factory=list)
    question: str | None = None
    options: list[str] = Field(default_factory=list)
    asks: Kind | None = None
    """Subject of the question, as its agent states it."""
    uncertain: str | None = None
    """The call that the question is about."""
    proposal: Proposal | None = None
    """That call, if it was not made and an approval permits it; None if its outcome is unknown."""
    background: Background | None = None
    """Circumstances of a question that is not about a call to be made."""
    failures: list[str] = Field(default_factory=list)
    """The last failed attempts, for the person who is asked about the step."""
    settled: dict[str, Settlement] = Field(default_factory=dict)
    """Calls that a person was asked about → the answer."""
    effects: list[PlannedEffect] = Field(default_factory=list)
    """Calls a person has approved, to be made instead of running the agent."""
    output: Output | None = None
    shown: Output | None = None
    """Output of the dry run, once its calls are approved."""
    output_before: str | None = None
    """Digest of the output that the reviewer did not accept, while the step is redone."""
    error: ErrorInfo | None = None
    seconds: float = 0.0
    usage: Usage = Usage()
    versions: Versions | None = None


class PlannerTask(HandoffState):
    """Request for a plan, to the planner, or for a review, to the reviewer."""

    refusals: int = 0
    given_up: bool = False
    error: ErrorInfo | None = None


TIMEKEEPER = "timekeeper"
"""Author of what happens because of the time alone."""

_ACTING_WORDS = frozenset({Kind.QUESTION, Kind.OUTCOME, Kind.FAILURE, Kind.REVIEW})
"""Questions on which work proceeds with the words of a `respond`."""


class OpenQuestion(Part):
    """A question to people that has had no effect yet, with the answers so far."""

    asked: HelpRequested
    votes: list[Vote] = Field(default_factory=list)
    delegations: list[Delegation] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list)
    """Groups that may answer besides, since it was escalated."""
    answers: int = 0
    """Number of answers ever given, also those withdrawn: part of the ids of its timers."""
    edits: int = 0
    """Number of times people changed the proposed call."""
    reminded: int = 0
    escalated: bool = False
    effective: datetime | None = None
    """Time at which the decision takes effect; None: it is not decided."""
    reverify: bool = False
    """True if the reads behind the call are repeated before it is made."""

    @property
    def kind(self) -> Kind:
        """Subject of the question, also of one that an earlier version asked."""
        asked = self.asked
        if asked.kind is not None:
            return asked.kind
        if asked.about != "step":
            return Kind.REVIEW if asked.about == "review" else Kind.FAILURE
        return Kind.CALL if asked.proposal else Kind.QUESTION

    def approves(self, reply: Reply) -> bool:
        """Return True if the answer counts towards the approvals that the question needs.

        Any other answer decides alone, because it makes no call.
        """
        return reply in (Reply.APPROVE, Reply.EDIT) or (reply is Reply.RESPOND and self.kind in _ACTING_WORDS)

    @property
    def stage(self) -> int:
        """Index of the first stage that lacks approvals; that of the last one if none does."""
        stages = self.asked.terms.stages
        lacking = (n for n, each in enumerate(stages) if self.approvals(n) < each.needed)
        return next(lacking, len(stages) - 1)

    def approvals(self, stage: int) -> int:
        """Return the number of people who have approved in a stage. Words count together only if they are the same."""
        agreed: dict[str, set[str]] = {}
        for each in self.votes:
            if each.stage == stage and self.approves(each.reply):
                words = each.answer if each.reply is Reply.RESPOND else ""
                agreed.setdefault(f"{each.reply}:{words}", set()).add(each.person)
        if self.asked.proposal is not None:  # the votes are all about the same call
            return len(set().union(*agreed.values()))
        return max(map(len, agreed.values()), default=0)

    @property
    def is_approved(self) -> bool:
        """True if every stage has the people it needs."""
        return all(self.approvals(n) >= each.needed for n, each in enumerate(self.asked.terms.stages))

    @property
    def deciding(self) -> Vote | None:
        """The answer that decides it: a refusal, or time, decides alone; else the last approval. None: undecided."""
        alone = (each for each in self.votes if each.person == TIMEKEEPER or not self.approves(each.reply))
        return next(alone, self.votes[-1] if self.votes and self.is_approved else None)

    @property
    def needs_several(self) -> bool:
        """True if one person cannot approve it alone."""
        return sum(each.needed for each in self.asked.terms.stages) > 1

    @property
    def present_groups(self) -> list[str]:
        """Groups that may answer now; empty: everyone who may decide."""
        groups = self.asked.terms.stages[self.stage].groups
        return list(dict.fromkeys([*groups, *self.groups])) if groups else []


class Run(Part):
    """The state of one run."""

    id: str
    task_id: str
    source: str | None = None
    """CloudEvents source of the task; None for a run that an earlier version started."""
    tenant: str
    task: Task
    state: State = State.INTAKE
    started: datetime
    deadline: datetime
    finished: datetime | None = None
    reason: str = "the task was accepted"
    error: ErrorInfo | None = None

    planning: PlannerTask = PlannerTask()
    reviewing: PlannerTask = PlannerTask()
    plan: Plan | None = None
    plan_is_tainted: bool = False
    """True if the planner had read untrusted content."""
    refused_plans: list[str] = Field(default_factory=list)
    """Digests of the plans that were refused, or dropped because a person rejected them."""
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    review: ReviewGiven | None = None
    feedback: list[str] = Field(default_factory=list)

    handoffs: int = 0
    replans: int = 0
    resumes: int = 0
    revisions: int = 0
    acted: list[str] = Field(default_factory=list)
    """Irreversible effects, as tool and place: before one is repeated, a person is asked."""
    effected: list[ActingCall] = Field(default_factory=list)
    """Acting calls of all its plans with their outcomes, one per place."""
    effected_dropped: int = 0
    """Number of older ones that were dropped to keep the record small."""
    carried_out_by: str | None = None
    """Person who approved the calls of this dry run to be made; None if they were only shown."""
    usage: Usage = Usage()
    budget_reached: float = 0.0
    """Highest recorded share of the budget: none, half, or FRUGAL_FROM."""
    models: list[str] = Field(default_factory=list)

    caveats: list[str] = Field(default_factory=list)
    """Findings of the guardrails in the task that were let pass, or removed."""

    unanswered: list[str] = Field(default_factory=list)
    """Unanswered handoffs that the run no longer awaits: of a dropped plan, or in flight when it ended."""
    settling: bool = False
    """True while the run has ended and its result waits for the unanswered handoffs."""

    questions: dict[str, OpenQuestion] = Field(default_factory=dict)
    """Open questions by request id, in the order in which they were asked."""
    requests: int = 0
    """Number of questions asked so far."""
    plan_approved: str | None = None
    """Digest of the plan that a person approved."""
    waiting_from: State | None = None
    waiting_since: datetime | None = None
    """Start of the present wait for people."""
    paused_from: State | None = None
    paused_at: datetime | None = None
    failed_from: State | None = None

    traceparent: str | None = None
    """Span of its intake, which names its trace."""
    secret: str | None = None
    """Secret from which its tokens are derived; None for a run that an earlier version started."""
    unread: bool = False
    """True if the task or an earlier record of the run is unreadable: `task` is then a stand-in."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, stored: Any) -> Any:
        """Read a run that an earlier version stored with its one question."""
        if not isinstance(stored, dict) or "questions" in stored or not (asked := stored.get("request")):
            return stored
        known = {"questions": {asked["request_id"]: {"asked": asked}}, "waiting_since": asked["at"]}
        return known | {name: value for name, value in stored.items() if name != "request"}

    @property
    def is_blocked(self) -> bool:
        """True if nothing more may start until a question is answered."""
        return any(each.asked.blocking for each in self.questions.values())

    @property
    def over(self) -> bool:
        """Return true once the run has ended and its result is published."""
        return self.state in ENDS and not self.settling


FRUGAL_FROM = 0.8
"""Share of any limit above which a run economizes: the cheap model, shorter replies."""

NOTICED = (0.5, FRUGAL_FROM)
"""Used shares of the budget at which an event is recorded."""

MAX_PLANS = 3
"""Refused plans after which the run gives up planning."""

TOO_LARGE = "run_too_large"
"""Error code of a run that ended because the outputs of its steps exceed the size of a message."""

LOOP = "loop"
"""Error code of a run that would only repeat itself."""

MAX_ATTEMPTS = 12
"""Attempts at one piece of work while all failures are retryable: with the delays between them about a minute and a
half, so that a dependency may be unavailable for half a minute."""

MAX_REPLANS = 2
"""Rejections by a person that lead to a new plan."""

MAX_REVISIONS = 2
"""Rounds of changes the reviewer may ask for."""


MOST_FAILURES = 5
"""Failed attempts of a step that a question about it shows."""


def handoff_name(run: Run, what: str, work: HandoffState, number: int) -> str:
    """Return `<run>/<what>/<replans>.<round>.<number>`: deterministic, in any order of messages."""
    return f"{run.id}/{what}/{run.replans}.{work.round}.{number}"


def last_answer_id(run: Run, record: StepRecord) -> str:
    """Return the id of the answer to the last handoff of a step."""
    return answer_id(handoff_name(run, record.step.id, record, record.handoffs_in_round))


def run_id_for(tenant: str, key: str | None, source: str = "", task_id: str = "") -> str:
    """Return the run id of a task: the same idempotency key of a tenant gives the same run.

    A task without a key is identified by its event's source and id together: two systems may use the same ids.
    """
    named = f"{tenant}:{key}" if key else f"{tenant}\0{source}\0{task_id}"
    return f"run-{uuid5(NAMESPACE_URL, f'waggle:{named}').hex}"
