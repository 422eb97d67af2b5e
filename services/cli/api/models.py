"""What the gateway answers with, as far as the command line shows it."""

from pydantic import Field

from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.message import Instant, Part
from schemas.task import StepSummary
from schemas.verdict import Proposal
from schemas.versions import Versions


class Question(Part):
    """What a run waits for a person to decide."""

    request_id: str
    question: str
    options: list[str] = Field(default_factory=list)
    step_id: str | None = None
    at: Instant | None = None
    expires: Instant | None = None
    proposal: Proposal | None = None


class Approval(Part):
    """A question of one run."""

    run_id: str
    objective: str
    asked: Question
    usage: Usage = Usage()


class ParkedWork(Part):
    """Work of a run that an operator has stopped."""

    agent: str
    reason: str


class RunStatus(Part):
    """Where one run stands."""

    run_id: str
    state: State
    settling: bool = False
    reason: str = ""
    objective: str | None = None
    started: Instant | None = None
    finished: Instant | None = None
    deadline: Instant | None = None
    steps: list[StepSummary] = Field(default_factory=list)
    usage: Usage = Usage()
    models: list[str] = Field(default_factory=list)
    waiting_for: Question | None = None
    error: ErrorInfo | None = None
    parked: list[ParkedWork] = Field(default_factory=list)


class RunLine(Part):
    """One run of a list."""

    run_id: str
    state: str
    objective: str
    started: Instant
    finished: Instant | None = None
    reason: str = ""
    steps_done: int = 0
    steps_total: int = 0
    cost_usd: float = 0.0


class TracedAction(Part):
    """A turn of a model, or a call of a tool."""

    what: str
    at: Instant | None = None
    seconds: float | None = None
    model: str | None = None
    usage: Usage | None = None
    versions: Versions | None = None


class TracedAttempt(Part):
    """One handoff, or one question to a person."""

    at: Instant
    seconds: float | None = None
    status: str
    note: str = ""
    error: ErrorInfo | None = None
    actions: list[TracedAction] = Field(default_factory=list)


class TracedWork(Part):
    """A step, or the planner's, the reviewer's or a person's part."""

    id: str
    agent: str
    seconds: float
    usage: Usage
    retries: int
    attempts: list[TracedAttempt]


class RunTrace(Part):
    """What a run did so far."""

    run_id: str
    trace_id: str | None = None
    state: str
    reason: str = ""
    started: Instant
    seconds: float
    usage: Usage
    retries: int
    works: list[TracedWork]


class Function(Part):
    """What a model may call, or has called."""

    name: str
    description: str = ""
    arguments: str = ""


class Called(Part):
    """A tool in a list of them."""

    function: Function


class Spoken(Part):
    """One message of a conversation with a model."""

    role: str
    content: str | None = None
    tool_calls: list[Called] = Field(default_factory=list)


class Requested(Part):
    """A call the model asks for."""

    name: str
    arguments: str


class Replied(Part):
    """What a model said."""

    content: str | None = None
    tool_requests: list[Requested] = Field(default_factory=list)
    model: str = ""
    usage: Usage = Usage()


class TurnAnswer(Part):
    """One question to a model and its reply."""

    handoff_id: str
    messages: list[Spoken]
    tools: list[Called]
    result: str = ""
    versions: Versions | None = None
    reply: Replied


class Group(Part):
    """How far a consumer group is behind."""

    group: str
    lag: int | None = None
    members: int | None = None
    state: str | None = None


class Topic(Part):
    """A topic and who reads it."""

    topic: str
    partitions: int
    messages: int
    written: int = 0
    groups: list[Group] = Field(default_factory=list)
