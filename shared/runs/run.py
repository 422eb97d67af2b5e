"""State of a run at one moment: the fold of its events."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from schemas.acting import ActingCall
from schemas.brief import Brief
from schemas.budget import Usage
from schemas.caller_message import CallerMessage, Rating
from schemas.conversation import Conversation, SessionEnd
from schemas.error import ErrorInfo
from schemas.event import ENDS, Evaluation, ReviewGiven, State
from schemas.message import Part
from schemas.plan import PLANNER, REVIEWER, WRITER, Plan, PlannedStep
from schemas.question import Background, Kind
from schemas.settlement import Settlement
from schemas.step import Output, Synthesis, answer_id
from schemas.task import Task
from schemas.verdict import PlannedEffect, Proposal
from schemas.versions import Versions
from shared.runs.open_question import OpenQuestion

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


class HandedOver(Part):
    """Handoff that ended a step: the agent that it went to, with its brief."""

    to: str
    brief: Brief
    digest: str
    tainted: bool = False
    added: int = 0
    """Facts, sources, files and effects that no earlier brief of the run had."""


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
    handed: HandedOver | None = None
    """The handoff that ended it; None if it ended otherwise."""
    must_answer: str = ""
    """Reason why its agent may not hand over; empty if it may."""
    output_before: str | None = None
    """Digest of the output that the reviewer did not accept, while the step is redone."""
    error: ErrorInfo | None = None
    seconds: float = 0.0
    usage: Usage = Usage()
    versions: Versions | None = None


class PlannerTask(HandoffState):
    """Request for a plan, to the planner, for a synthesis, to the writer, or for a review, to the reviewer."""

    refusals: int = 0
    given_up: bool = False
    error: ErrorInfo | None = None


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
    writing: PlannerTask = PlannerTask()
    reviewing: PlannerTask = PlannerTask()
    plan: Plan | None = None
    plan_handoff: str | None = None
    """Handoff that the planner answered with the plan."""
    plan_is_tainted: bool = False
    """True if the planner had read untrusted content."""
    refused_plans: list[str] = Field(default_factory=list)
    """Digests of the plans that were refused, or dropped because a person rejected them."""
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    synthesis: Synthesis | None = None
    """The one answer written from the outputs of all steps; None if there is none, or it must be written again."""
    synthesis_before: str | None = None
    """Digest of the synthesis that the reviewer did not accept, while it is written again."""
    rewrite_feedback: list[str] = Field(default_factory=list)
    """Reasons for which it was not accepted."""
    joined_because: str | None = None
    """Reason why no synthesis could be written: the answers of the last steps are joined."""
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
    released_claims: list[int] = Field(default_factory=list)
    """Numbers of its claims that people have ended, the latest."""
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
    unapproved: bool = False
    """True while people have been asked, and have not permitted, that the task is worked on."""
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
    conversation: Conversation | None = None
    """Earlier turns of its session, as it was given them."""
    messages: list[CallerMessage] = Field(default_factory=list)
    """Messages that callers have added since it started, in order."""
    ratings: list[Rating] = Field(default_factory=list)
    """Latest feedback of each person, in order of their first."""
    evaluation: Evaluation | None = None
    """Automatic checks of its last end that was evaluated."""
    session_end: SessionEnd | None = None
    """End of the conversation up to this run."""
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

MOST_RELEASED = 200
"""Numbers of released claims that a run remembers: more than it can hold, and they end within a day."""

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


REQUESTS = {"planning": PLANNER, "writing": WRITER, "reviewing": REVIEWER}
"""Field of each request of a run, and the agent that it goes to."""


def requests_of(run: Run) -> dict[str, PlannerTask]:
    """Return the requests of a run that are not for a step, by agent."""
    return {agent: getattr(run, name) for name, agent in REQUESTS.items()}


def in_flight(run: Run) -> list[str]:
    """Return the handoffs that were sent and not answered, also if the run has ended since."""
    works = (*requests_of(run).values(), *run.steps.values())
    return [work.handoff_id for work in works if work.handoff_id is not None]


def awaited_handoffs(run: Run) -> list[str]:
    """Return the handoffs whose answers advance the run: none after its end, none of a dropped plan."""
    return [] if run.state in ENDS else in_flight(run)


def work_name(run: Run, what: str, work: HandoffState) -> str:
    """Return `<run>/<what>/<replans>.<round>`: the id that all handoffs of one round share."""
    return f"{run.id}/{what}/{run.replans}.{work.round}"


def handoff_name(run: Run, what: str, work: HandoffState, number: int) -> str:
    """Return `<run>/<what>/<replans>.<round>.<number>`: deterministic, in any order of messages."""
    return f"{work_name(run, what, work)}.{number}"


def last_answer_id(run: Run, record: StepRecord) -> str:
    """Return the id of the answer to the last handoff of a step."""
    return answer_id(handoff_name(run, record.step.id, record, record.handoffs_in_round))
