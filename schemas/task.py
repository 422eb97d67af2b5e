"""What upstream systems publish (`Task`) and what they get back (`Result`)."""

from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.acting import ActingCall
from schemas.budget import Budget, Usage
from schemas.error import ErrorInfo
from schemas.message import (
    MOST,
    UNKNOWN_MEDIA,
    Count,
    Id,
    Instant,
    JsonObject,
    Message,
    Part,
    Seconds,
    Slug,
    StoredMediaType,
    Text,
)
from schemas.verdict import PlannedEffect
from schemas.versions import Versions


class Shape(StrEnum):
    """How agents work together on a task."""

    AUTO = "auto"
    SINGLE = "single"
    ROUTER = "router"
    SUPERVISOR = "supervisor"


class Priority(StrEnum):
    """How urgent a task is beside the others of its tenant."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Attachment(Part):
    """A file that belongs to a task: its text inline, or a reference to where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[^/\x00]{1,200}$", description="File name, without a folder.")
    media_type: StoredMediaType = Field(
        UNKNOWN_MEDIA, max_length=200, description="As RFC 9110 writes it; anything else counts as unknown."
    )
    text: str | None = Field(None, description="The content itself, if it is text and small.")
    uri: str | None = Field(None, description="`blob:<sha256>` of an uploaded file, or an `https:` address.")
    size: int | None = Field(None, ge=0, le=MOST, description="Bytes, if known.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.name in (".", ".."):
            raise ValueError("an attachment's `name` is a file name, not a folder")
        if (self.text is None) == (self.uri is None):
            raise ValueError("an attachment has either `text` or `uri`")
        if self.uri is not None and not self.uri.startswith(("blob:", "https://", "http://")):
            raise ValueError("an attachment's `uri` is `blob:<sha256>` or an http(s) address")
        return self


class TaskContext(Part):
    """What the agents may build on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = Field(None, max_length=100_000, description="Background in prose.")
    data: JsonObject = Field(default_factory=dict, description="Background as structured values.")
    attachments: list[Attachment] = Field(default_factory=list, max_length=100)

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [attachment.name for attachment in self.attachments]
        if len(names) != len(set(names)):
            raise ValueError("attachments need distinct names")
        return self


class Task(Message):
    """What a caller asks for. Only the objective is required.

    Unknown fields are refused: a misspelt limit must not be silently absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: ClassVar[int] = 1

    objective: Text = Field(description="What is to be achieved, in plain words.")
    type: Slug | None = Field(None, description="The caller's own name for this kind of task.")
    shape: Shape = Field(Shape.AUTO, description="How agents work together; `auto` lets the planner choose.")
    agent: Slug | None = Field(None, description="The one agent to use; required by, and only for, shape `single`.")
    context: TaskContext = Field(default_factory=TaskContext)
    constraints: list[Text] = Field(default_factory=list, max_length=50, description="Rules the result must keep.")
    destinations: list[Text] = Field(
        default_factory=list,
        max_length=50,
        description="Mail addresses, web addresses and hosts that data may go to, besides those the objective names.",
    )
    budget: Budget = Field(default_factory=Budget)
    deadline: Instant | None = Field(None, description="When the result is of no use any more.")
    tenant: Slug = Field("default", description="Whose task it is; tenants never see each other's.")
    priority: Priority = Priority.NORMAL
    agents: list[Slug] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The only agents a plan may use; left out: all the tenant may use.",
    )
    tools: list[str] | None = Field(
        None, max_length=500, description="The only tools agents may call for it; left out: all the tenant may use."
    )
    dry_run: bool = Field(False, description="Plan and show, but call no tool that changes anything.")
    session: Id | None = Field(None, description="Ties tasks of one conversation together.")
    idempotency_key: Id | None = Field(
        None, description="The same key twice is the same run; default: the event's source and id."
    )
    on_trouble: Literal["fail", "wait"] = Field(
        "fail", description="When planning or review cannot succeed: end as failed, or wait for a person."
    )

    @classmethod
    def read(cls, payload: bytes | str) -> Self:
        """The task in some JSON, refused if it holds anything unknown. Raises pydantic's ValidationError."""
        return cls.model_validate_json(payload)

    def written(self) -> str:
        """What the caller has left out is left out: defaults are its tenant's, and filled in at intake."""
        return self.model_dump_json(exclude_unset=True)

    @model_validator(mode="after")
    def _agent_for_single(self) -> Self:
        if (self.shape is Shape.SINGLE) != (self.agent is not None):
            raise ValueError("shape `single` needs `agent`, and no other shape takes it")
        return self


class Artefact(Part):
    """A file a step produced, kept in the archive."""

    name: str
    media_type: StoredMediaType
    size: int = Field(ge=0, le=MOST, description="Bytes.")
    uri: str = Field(description="`blob:<sha256>` in the tenant's archive.")


class StepSummary(Part):
    """How one step of the run went."""

    id: str
    agent: str
    objective: str
    status: Literal["waiting", "running", "done", "failed"]
    attempts: Count
    answer: str | None = None
    error: ErrorInfo | None = None
    seconds: Seconds = 0.0
    usage: Usage = Usage()
    versions: Versions | None = Field(None, description="Of the agent that did it, or is to do it.")


class Result(Message):
    """How a task ended. Exactly one is published for each run that ends."""

    run_id: str
    task_id: str = Field(description="The CloudEvents id of the task event.")
    source: str | None = Field(None, description="The CloudEvents source of the task event; ids are its own.")
    tenant: str
    status: Literal["complete", "rejected", "failed", "cancelled"]
    answer: str | None = Field(
        None, description="Markdown. With status failed or cancelled: what was found until then."
    )
    artefacts: list[Artefact] = Field(default_factory=list)
    effects: list[PlannedEffect] = Field(
        default_factory=list, description="Of a dry run: the calls it would have made, and what the gate says to them."
    )
    effects_digest: str | None = Field(None, description="Of those calls in their order: `CarryOut` names it.")
    applied_by: str | None = Field(None, description="Who had the calls of this dry run made.")
    acting_calls: list[ActingCall] = Field(
        default_factory=list,
        description="Calls that act outside the run: made, failed, refused, unknown.",
    )
    incomplete_effects: bool = Field(
        False,
        description="True when one was not made, or may not have been, and nothing made up for it, "
        "or when some may be missing.",
    )
    steps: list[StepSummary] = Field(default_factory=list)
    usage: Usage = Usage()
    confidence: float | None = Field(
        None, ge=0, le=1, description="The lowest confidence of any step behind the answer."
    )
    doubtful: bool = Field(
        False, description="True when it is complete with so low a confidence that nothing of use was found."
    )
    caveats: list[str] = Field(default_factory=list)
    error: ErrorInfo | None = None
    models: list[str] = Field(default_factory=list, description="Every model that took part.")
    session: str | None = None
    idempotency_key: str | None = None
    started: Instant
    finished: Instant
