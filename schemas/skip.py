"""What operators skip because no client can read it."""

from pydantic import Field

from schemas.message import MOST, Instant, Message, Text


class BatchSkipped(Message):
    """Consumers that are held at this batch go on behind it. Its records are given up."""

    topic: str = Field(min_length=1, max_length=249, description="Without the prefix.")
    partition: int = Field(ge=0, le=MOST)
    first: int = Field(ge=0, le=MOST, description="The first offset that is skipped.")
    end: int = Field(ge=1, le=MOST, description="The offset reading goes on at.")
    by: str = Field(min_length=1, max_length=200, description="Who skipped it.")
    reason: Text
    at: Instant
