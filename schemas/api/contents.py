"""Contents of a run's record, and the audit of everyone who has looked at contents."""

from typing import Literal

from pydantic import Field

from schemas.message import Instant, Part


class RecordWrite(Part):
    """One write to the record of a run."""

    version: int
    at: Instant
    by: str = Field(description="Service, agent or person that caused it.")
    events: list[str] = Field(description="Types of the events it consists of.")


class RecordEntry(Part):
    """One entry of a run's record on the blackboard."""

    name: str = Field(description="Such as `plan`, or `step:<id>`.")
    size: int = Field(description="Characters of its JSON.")
    version: int | None = Field(None, description="Version that wrote it last; null if too long ago.")
    by: str | None = Field(None, description="Author of that write.")
    at: Instant | None = Field(None, description="Time of that write.")
    value: str | None = Field(None, description="Its JSON; null unless contents were asked for. A long one is cut off.")


class RecordView(Part):
    """The record of a run on the blackboard."""

    version: int
    written_by: str = Field(description="Author of the last write.")
    written_at: str
    written_why: str
    entries: list[RecordEntry]
    writes: list[RecordWrite] = Field(description="The latest writes, the newest first.")


class ContentAccess(Part):
    """One access to contents: prompts, replies, tool results, files, tasks, records."""

    id: str
    at: Instant
    by: str = Field(description="Owner of the key; `anonymous` at a gateway that requires none.")
    run_id: str = Field(description="The run; empty for a file, which several runs may share, and without a run.")
    kind: Literal["turn", "journal", "task", "record", "file", "dead_letter", "topic", "memory", "audit"]
    what: str = Field(description="The part shown, such as the step and the turn.")


class AuditPage(Part):
    """Accesses to contents, the newest first."""

    accesses: list[ContentAccess]
    older: str | None = Field(description="The `before` of the next page; null on the last one.")
