"""The audit record, as it is asked and shown."""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints

from schemas.message import MOST_SECONDS, MOST_USD, Count, Instant, JsonObject, Part, Slug

Named: TypeAlias = Annotated[str, StringConstraints(max_length=300)]

Kind: TypeAlias = Literal[
    "model_call",
    "tool_request",
    "tool_call",
    "tool_intent",
    "verdict",
    "transition",
    "step",
    "plan",
    "message",
    "question",
    "decision",
    "command",
    "stop",
    "spending",
    "evaluation",
    "board",
    "entry",
    "event",
    "unreadable",
    "retention",
    "refusal",
]


class AuditRow(Part):
    """A row of the record."""

    number: int = Field(ge=1, le=2**53, description="Consecutive per tenant, starting at 1.")
    at: Instant
    kind: str = Field(max_length=200, description="A later version may have further kinds.")
    name: str = Field(max_length=200, description="Tool, model, event, command, or scope of a stop.")
    run_id: str = Field("", max_length=200)
    step_id: str = Field("", max_length=200)
    agent: str = Field("", max_length=200)
    by: str = Field("", max_length=200, description="Person, agent or service that caused it.")
    outcome: str = Field("", max_length=200)
    verdict: str = Field("", max_length=200)
    ref: str = Field("", max_length=200, description="Question, handoff or call that it is about.")
    about: str = Field("", max_length=200, description="Tool that a person decided on; outcome of a requested call.")
    tokens_in: Count = 0
    tokens_out: Count = 0
    cost_usd: float = Field(0.0, ge=0, le=MOST_USD)
    seconds: float = Field(0.0, ge=0, le=MOST_SECONDS)
    facts: JsonObject = Field(default_factory=dict, description="Further facts, by kind.")
    contents: JsonObject | None = Field(None, description="Texts; null unless they were asked for and can be read.")
    state: Literal["none", "withheld", "shown", "forgotten", "damaged"] = Field("none", description="Of the contents.")
    source: str = Field(max_length=400, description="Place in the log: topic, partition, offset, number of the row.")
    digest: str = Field("", max_length=64, description="SHA-256 of the contents with a secret salt.")
    previous: str = Field(max_length=64, description="Hash of the row before.")
    hash: str = Field(max_length=64, description="Hash of this row, which covers the one before.")


class AuditConditions(Part):
    """Conditions that all rows of an answer meet."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    kind: list[Kind] = Field(default_factory=list, max_length=20, description="Any of these kinds.")
    name: Named | None = Field(None, description="Tool, model, event, command, or scope of a stop.")
    run: Named | None = None
    agent: Named | None = None
    by: Named | None = Field(None, description="Person, agent or service.")
    outcome: Named | None = None
    verdict: Named | None = Field(None, description="Such as `allow`, `deny`, `approve`, `reject`.")
    number: int | None = Field(None, ge=1, le=2**53, description="The one row of this number.")
    since: Instant | None = None
    until: Instant | None = Field(None, description="Rows before this time.")
    arguments: Named | None = Field(None, description="Text within the arguments of a call; `*`: anything between.")
    system: bool = Field(False, description="Rows of no single tenant, as refused keys; for callers of all tenants.")
    contents: bool = Field(False, description="With contents: for the role `contents`, recorded in the audit.")


class AuditQuestion(AuditConditions):
    """Conditions that all rows of a page meet."""

    limit: int = Field(100, ge=1, le=500, description="Maximum rows on a page.")
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,20}~[0-9]{1,20}$", description="`next_cursor` of a page.")


class AuditAnswer(Part):
    """Rows, newest first."""

    rows: list[AuditRow]
    next_cursor: str | None = Field(
        None, description="`cursor` of the next page; null on the last one. A page by `arguments` may be empty before."
    )
