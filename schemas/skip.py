"""Unreadable batches that operators skip."""

from pydantic import Field

from schemas.message import MOST, Instant, Message, Text


class BatchSkipped(Message):
    """Consumers blocked at this batch resume behind it. Its records are lost."""

    topic: str = Field(min_length=1, max_length=249, description="Without the prefix.")
    partition: int = Field(ge=0, le=MOST)
    first: int = Field(ge=0, le=MOST, description="First skipped offset.")
    end: int = Field(ge=1, le=MOST, description="Offset at which reading resumes.")
    by: str = Field(min_length=1, max_length=200, description="Operator who skipped it.")
    reason: Text
    at: Instant
