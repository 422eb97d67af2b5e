"""Dead letters: search, details, and redriving or discarding one or many."""

from typing import Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from schemas.api.commands import CommandRequest
from schemas.dead import DeadLetterHandled, FieldEdit
from schemas.error import ErrorInfo
from schemas.message import MOST_USD, Instant, JsonObject, Part, Slug, Text

State: TypeAlias = Literal["open", "redriven", "discarded"]


class Search(Part):
    """Filters of a search, all of which must match. An unknown filter is rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # the query of a request

    topic: str | None = Field(None, max_length=255, description="Original topic, such as `agents.data`.")
    error: str | None = Field(None, max_length=200, description="Error code, such as `invalid_payload`.")
    tenant: Slug | None = Field(None, description="Tenant: the payload's `tenant`, else `ce_tenant`.")
    since: Instant | None = Field(None, description="Dead-lettered at or after this time.")
    until: Instant | None = Field(None, description="Dead-lettered before this time.")
    state: State | Literal["any"] = Field("open", description="Action taken on them.")
    limit: int = Field(50, ge=1, le=10_000, description="Maximum number of results.")


class DeadLetterSummary(Part):
    """One dead letter in a list."""

    name: str = Field(description="`<topic>.dlt/<partition>/<offset>`")
    topic: str = Field(description="Original topic, without the prefix.")
    at: Instant
    error: str = Field(description="Error code; empty if the dead letter has none.")
    message: str
    attempts: str
    tenant: str | None
    size: int = Field(description="Bytes of the payload.")
    came_from: str | None = Field(description="The dead letter it was before it was redriven and failed once more.")
    state: State
    handled: DeadLetterHandled | None = Field(description="Action taken on it, with its operator.")
    run_id: str | None = Field(None, description="The run that its payload, or else its `ce_subject`, names.")
    trace_id: str | None = None
    cost_usd: float | None = Field(
        None, ge=0, le=MOST_USD, description="Cost of that run so far; null if the blackboard has no such run."
    )


class SearchResult(Part):
    """Result of a search."""

    letters: list[DeadLetterSummary] = Field(description="Matches, newest first.")
    complete: bool = Field(
        description="True if these are all matches: neither the limit nor the bounds of a search cut them off."
    )
    not_looked_at: int = Field(description="Older records not examined, because a search reads a limited number.")


class Bytes(Part):
    """Bytes as text if they are UTF-8, else in base64."""

    text: str | None = None
    base64: str | None = None

    def __str__(self) -> str:
        return self.text if self.text is not None else f"base64:{self.base64}" if self.base64 is not None else ""


class Header(Bytes):
    """A header of the original record."""

    name: str


class DeadLetterView(DeadLetterSummary):
    """A dead letter with its original record and the failure."""

    partition: str = Field(description="Original partition.")
    offset: str = Field(description="Original offset.")
    service: str = Field(description="Service that dead-lettered it.")
    version: str = Field(description="Version of that service.")
    causes: JsonValue = Field(description="Failures before the last one, if they were recorded.")
    redriven_by: str | None = Field(description="Operator who redrove the dead letter it was before.")
    key: Bytes | None
    headers: list[Header] = Field(description="Original headers.")
    payload: Bytes = Field(description="Neither text nor base64: not asked for, or not for this key.")
    editable: list[str] = Field(default_factory=list, description="Fields that an edit may change; empty: none.")
    not_editable: str = Field("", description="Reason why it cannot be edited.")


class RedriveRequest(CommandRequest):
    """A redrive of one dead letter."""

    reason: str = Field("", max_length=20_000, description="Reason; required with `again`.")
    again: bool = Field(default=False, description="Redrive it even if it was redriven or discarded before.")

    @model_validator(mode="after")
    def _again_has_a_reason(self) -> Self:
        if self.again and not self.reason.strip():
            raise ValueError("`again` needs a `reason`")
        return self


class EditRequest(CommandRequest):
    """A corrected payload, published in place of the original one."""

    reason: Text
    value: JsonObject = Field(description="The whole payload. A token shown as `***` stays what it was.")
    again: bool = Field(default=False, description="Redrive it even if it was redriven or discarded before.")
    dry_run: bool = Field(default=False, description="Only check it and list the changes.")


class DeadLetterEdited(Part):
    """An edit that matches the schema, and its effect."""

    name: str
    edits: list[FieldEdit]
    more_edits: int
    handled: DeadLetterHandled | None = Field(description="The redrive; null after a `dry_run`.")


class BulkRequest(CommandRequest):
    """A selection of open dead letters, and the rate to handle them at."""

    letters: Search = Field(description="Filters; an empty object selects all open ones, up to its limit.")
    rate: float = Field(10.0, ge=0.1, le=1000, description="Maximum number per second.")
    dry_run: bool = Field(default=False, description="Only list the selected ones.")

    @field_validator("letters")
    @classmethod
    def _open_ones(cls, letters: Search) -> Search:
        if letters.state != "open":
            raise ValueError("a bulk request takes open dead letters only; name others one by one")
        return letters


class BulkRedriveRequest(BulkRequest):
    """A redrive of many dead letters."""

    reason: str = Field("", max_length=20_000, description="Reason.")


class BulkDiscardRequest(BulkRequest):
    """A discard of many dead letters."""

    reason: Text


class BatchSelection(Part):
    """First line of the answer to a bulk request: the number of dead letters to handle, oldest first."""

    of: int
    complete: bool = Field(description="True if all matches are selected; if not, repeat the request afterwards.")
    not_looked_at: int


class BatchProgress(Part):
    """Outcome of one dead letter of a bulk request."""

    n: int
    of: int
    name: str
    outcome: Literal["redriven", "discarded", "chosen", "skipped", "failed"] = Field(
        description="`chosen`: selected by a `dry_run`; `skipped`: another operator handles or has handled it."
    )
    error: ErrorInfo | None = None
