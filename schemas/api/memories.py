"""Memories as people look at them and change them."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from schemas.api.commands import CommandRequest
from schemas.forgetting import Forgetting
from schemas.memory import Content, Memory, MemoryKind, Name
from schemas.message import MOST, Count, Instant, Part, Slug

LARGEST_PAGE = 200

MemoryState: TypeAlias = Literal["kept", "candidate", "future", "expired"]
Standing: TypeAlias = Literal["fresh", "old", "stale"]
ChangeReason: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Why: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Version: TypeAlias = Annotated[int, Field(ge=1, le=2_000_000_000)]
RunName: TypeAlias = Annotated[str, StringConstraints(max_length=255)]


class MemoryView(Part):
    """A memory with its state and uses."""

    memory: Memory
    state: MemoryState = Field(
        description="`candidate`: never recalled until a person confirms it; `future`, `expired`: not valid now."
    )
    standing: Standing = Field("fresh", description="`old`: verified before use; `stale`: refused with its age.")
    uses: Count = Field(0, description="Number of recalls that used it.")
    last_used: Instant | None = None
    withheld: bool = Field(
        False, description="True if content, subject, origins and reasons are left out: they need the role `contents`."
    )


class SourceView(Part):
    """A record of a log that a memory comes from."""

    topic: str
    partition: int
    offset: int
    item: int
    link: str = Field(description="Path of the record, for operators.")


class MemoryDetail(MemoryView):
    """A memory with what it comes from and why it counts as it does."""

    sources: list[SourceView]
    run_link: str = Field("", description="Path of the run that it comes from; empty without one.")
    importance_reason: str = Field(description="Why the memory has its importance.")


class MemoryPage(Part):
    """Memories, newest first."""

    memories: list[MemoryView]
    next_cursor: str | None = Field(None, description="`cursor` of the next page; null on the last one.")
    empty: bool = Field(False, description="True if the tenant has no memory at all, with any filters.")


class MemoryQuery(Part):
    """A page of the memories that match all conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    kind: MemoryKind | None = None
    subject: Name | None = Field(None, description="About exactly this person or thing.")
    run: RunName | None = Field(None, description="From this run.")
    session: Name | None = Field(None, description="Of this conversation.")
    tainted: bool | None = Field(None, description="True: from untrusted content; false: all others.")
    candidate: bool | None = Field(None, description="True: waiting to be confirmed; false: all others.")
    pinned: bool | None = None
    text: Annotated[str, StringConstraints(max_length=400)] | None = Field(
        None, description="With all these words, in any case and with any common ending."
    )
    limit: int = Field(50, ge=1, le=LARGEST_PAGE, description="Maximum memories on a page.")
    cursor: str | None = Field(
        None, pattern=r"^[0-9T:.+-]{20,40}~[0-9a-f]{32}$", description="An earlier `next_cursor`: the page after it."
    )


class SearchQuery(Part):
    """A recall, as agents make it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
    kind: MemoryKind | None = None
    limit: int = Field(10, ge=1, le=50, description="Maximum memories.")


class FoundMemory(Part):
    """A memory that a search has found, with the reasons."""

    view: MemoryView
    score: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(description="Comparable within one search only.")
    found_by: list[str] = Field(description="`text`, `vector`, `neighbour`: the lists it was in.")
    reasons: list[str] = Field(description="Why it is here, in words.")


class MemorySearch(Part):
    """Memories that serve a text, best first, as an agent would get them now."""

    found: list[FoundMemory]
    by_meaning: bool = Field(description="False: by words alone.")


class MemoryChangeRequest(CommandRequest):
    """A change of one memory."""

    version: Version | None = Field(
        None, description="Version that was looked at; if it is not the present one: 409 with the present one."
    )
    reason: ChangeReason = Field("", description="Reason, which the memory keeps.")


class ConfirmRequest(MemoryChangeRequest):
    """A person's word that a memory holds: it becomes a fact without a taint."""

    version: Version = Field(description="Version that was looked at.")


class CorrectRequest(MemoryChangeRequest):
    """New values of a memory; others stay. With new content it is the person's word, and trusted."""

    version: Version = Field(description="Version that was looked at.")
    content: Content | None = None
    subject: Name | None = None
    importance: Annotated[float, Field(ge=0, le=1)] | None = None
    valid_until: Instant | None = Field(None, description="Not recalled from then on.")

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if all(each is None for each in (self.content, self.subject, self.importance, self.valid_until)):
            raise ValueError("name what to change: `content`, `subject`, `importance` or `valid_until`")
        return self


class ForgetOneRequest(MemoryChangeRequest):
    """The end of one memory."""

    reason: Why


class MemoryChanged(Part):
    """A change that Kafka has acknowledged."""

    memory: MemoryView
    before: Memory | None = Field(None, description="The memory before, to undo a correction; null if nothing changed.")
    in_effect: bool = Field(description="False: accepted, and not yet visible in lists and recalls.")


class MemoryGone(Part):
    """A memory that is forgotten. Nothing brings it back."""

    id: str
    in_effect: bool = Field(description="False: accepted, and not yet gone from lists and recalls.")


class ForgetRequest(CommandRequest):
    """A selection to forget: exactly one of subject, run, session and everything. Look at a `dry_run` first."""

    subject: Annotated[Name, Field(min_length=1)] | None = Field(None, description="Person or thing.")
    run: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    session: Annotated[Name, Field(min_length=1)] | None = None
    everything: bool = Field(False, description="All that the tenant has.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = Field(
        "", description="Reason; required, except for a `dry_run`."
    )
    dry_run: bool = Field(False, description="Only count what would be forgotten.")
    expected: int | None = Field(
        None, ge=0, le=MOST, description="Number of memories that the dry run has shown; if there are more: 409."
    )

    @model_validator(mode="after")
    def _deliberate(self) -> Self:
        if sum((self.subject is not None, self.run is not None, self.session is not None, self.everything)) != 1:
            raise ValueError("name one selection: `subject`, `run`, `session` or `everything`")
        if not self.dry_run and not self.reason:
            raise ValueError("`reason` is missing: it is recorded with the order")
        if not self.dry_run and self.expected is None:
            raise ValueError("`expected` is missing: give the number of memories that a `dry_run` has shown")
        return self


class ForgetReach(Part):
    """Extent of a forget."""

    memories: Count
    candidates: Count = Field(description="Of them, those that wait to be confirmed.")
    runs: Count = Field(description="Runs of the selection, with their prompts, journals and results.")
    files: Count = Field(description="Files in the archive that these runs name.")
    complete: bool = Field(True, description="False: at least so many.")
    ordered: Instant | None = Field(None, description="Time of the order; null after a dry run: nothing is forgotten.")
    in_effect: bool = Field(False, description="True once no memory of the selection is left.")
    forgetting: str | None = Field(None, description="Id of the order: `GET /v1/forgettings/{id}` shows its report.")


class ForgettingPage(Part):
    """Orders to forget with their reports, the latest first."""

    forgettings: list[Forgetting]
