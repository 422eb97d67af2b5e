"""Tasks that upstream systems publish (`Task`), and the results they get (`Result`)."""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.acting import ActingCall
from schemas.budget import Budget, Usage
from schemas.conflict import MOST_CONFLICTS, Conflict
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
    """Way agents work together on a task."""

    AUTO = "auto"
    SINGLE = "single"
    ROUTER = "router"
    SUPERVISOR = "supervisor"
    SWARM = "swarm"


class Priority(StrEnum):
    """Priority of a task relative to the others of its tenant."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Attachment(Part):
    """A file that belongs to a task: its text inline, or a reference to its location."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[^/\x00]{1,200}$", description="File name, without a folder.")
    media_type: StoredMediaType = Field(
        UNKNOWN_MEDIA, max_length=200, description="As RFC 9110 writes it; any other value becomes the unknown type."
    )
    text: str | None = Field(None, description="Content of a small text file.")
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
    """Background for the agents."""

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
    """A caller's request. Only the objective is required.

    Unknown fields are rejected, so that a misspelt limit is not silently missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # the body of a request
    version: ClassVar[int] = 1

    objective: Text = Field(description="Goal, in plain words.")
    type: Slug | None = Field(None, description="The caller's own name for this kind of task.")
    shape: Shape = Field(Shape.AUTO, description="Way agents work together; `auto` lets the planner choose.")
    agent: Slug | None = Field(
        None,
        description="The one agent to use in shape `single`, which needs it; the first one in shape `swarm`, "
        "where the planner chooses if it is omitted.",
    )
    context: TaskContext = Field(default_factory=TaskContext)
    constraints: list[Text] = Field(default_factory=list, max_length=50, description="Rules that the result must keep.")
    destinations: list[Text] = Field(
        default_factory=list,
        max_length=50,
        description="Permitted mail addresses, web addresses and hosts, in addition to those the objective names.",
    )
    budget: Budget = Field(default_factory=Budget)
    deadline: Instant | None = Field(None, description="Time after which the result is useless.")
    tenant: Slug = Field("default", description="Tenant of the task; tenants never see each other's tasks.")
    priority: Priority = Priority.NORMAL
    agents: list[Slug] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The only agents a plan may use; default: all that the tenant may use.",
    )
    tools: list[str] | None = Field(
        None, max_length=500, description="The only tools agents may call for it; default: all that the tenant may use."
    )
    dry_run: bool = Field(False, description="Plan and preview, but call no tool that changes anything.")
    memory: bool = Field(True, description="Let its agents recall memories of earlier runs.")
    session: Id | None = Field(None, description="Links tasks of one conversation.")
    idempotency_key: Id | None = Field(
        None, description="Tasks with the same key are the same run; default: the event's source and id."
    )
    on_trouble: Literal["fail", "wait"] = Field(
        "fail",
        description="Behaviour when planning, a step or review cannot succeed: end as failed, or wait for a person.",
    )
    requested_by: str | None = Field(
        None,
        max_length=200,
        description="Person who requested it. The gateway enters the owner of the caller's key and believes no other.",
    )

    @classmethod
    def read(cls, payload: bytes | str) -> Self:
        """Read a task from JSON and refuse unknown fields. Raises pydantic's ValidationError."""
        return cls.model_validate_json(payload)

    def written(self) -> str:
        """Return JSON without omitted fields: defaults depend on the tenant and are filled in at intake."""
        return self.model_dump_json(exclude_unset=True)

    @model_validator(mode="after")
    def _agent_for_its_shape(self) -> Self:
        if self.shape is Shape.SINGLE and self.agent is None:
            raise ValueError("shape `single` needs `agent`")
        if self.agent is not None and self.shape not in (Shape.SINGLE, Shape.SWARM):
            raise ValueError("only the shapes `single` and `swarm` take `agent`")
        return self


class Artefact(Part):
    """A file a step produced, kept in the archive."""

    name: str
    media_type: StoredMediaType
    size: int = Field(ge=0, le=MOST, description="Bytes.")
    uri: str = Field(description="`blob:<sha256>` in the tenant's archive.")


class StepSummary(Part):
    """Summary of one step of the run."""

    id: str
    agent: str
    objective: str
    status: Literal["waiting", "running", "done", "failed"]
    attempts: Count
    answer: str | None = None
    data: JsonObject | None = Field(None, description="The result in the agent's own type, which its card describes.")
    error: ErrorInfo | None = None
    seconds: Seconds = 0.0
    usage: Usage = Usage()
    versions: Versions | None = Field(None, description="Versions of the agent of the step.")
    handed_to: str | None = Field(None, description="Agent that it handed over to; `answer` is then its brief.")
    must_answer: str = Field("", description="Reason why its agent was not let hand over.")


def path_of(steps: Sequence[StepSummary]) -> list[str]:
    """Return the agents that the work was handed along, in order, with one that was refused; empty if it was not."""
    if not any(step.handed_to for step in steps):
        return []
    refused = steps[-1].handed_to
    return [*(step.agent for step in steps), *([refused] if refused else [])]


class Result(Message):
    """Outcome of a task. Exactly one is published for each run that ends."""

    run_id: str
    task_id: str = Field(description="CloudEvents id of the task event.")
    source: str | None = Field(None, description="CloudEvents source of the task event; ids are unique per source.")
    tenant: str
    status: Literal["complete", "rejected", "failed", "cancelled"]
    answer: str | None = Field(None, description="Markdown. With status failed or cancelled: the findings so far.")
    artefacts: list[Artefact] = Field(default_factory=list)
    effects: list[PlannedEffect] = Field(
        default_factory=list, description="Of a dry run: the calls it would have made, with the gate's verdicts."
    )
    effects_digest: str | None = Field(None, description="Digest of those calls in order; `CarryOut` names it.")
    applied_by: str | None = Field(None, description="Person who applied this dry run.")
    acting_calls: list[ActingCall] = Field(
        default_factory=list,
        description="Calls that act outside the run: made, failed, refused, unknown.",
    )
    incomplete_effects: bool = Field(
        False,
        description="True if one was not made, or may not have been, and was not compensated, "
        "or if records may be missing.",
    )
    steps: list[StepSummary] = Field(default_factory=list)
    usage: Usage = Usage()
    confidence: float | None = Field(None, ge=0, le=1, description="Lowest confidence of all steps behind the answer.")
    doubtful: bool = Field(
        False, description="True if it is complete, but its confidence is so low that nothing useful was found."
    )
    caveats: list[str] = Field(default_factory=list)
    conflicts: list[Conflict] = Field(
        default_factory=list,
        max_length=MOST_CONFLICTS,
        description="Disagreements between the steps behind the answer, each resolved or open.",
    )
    error: ErrorInfo | None = None
    models: list[str] = Field(default_factory=list, description="Every model that took part.")
    session: str | None = None
    idempotency_key: str | None = None
    started: Instant
    finished: Instant
