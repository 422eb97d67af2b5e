"""Decision of a person about one call of an agent."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.message import MOST, Amount, Id, Instant, Part
from schemas.plan import Risk

REPEAT = "repeat"
"""Prefix of the answer of a person who knows that a call has not happened and wants it made."""


class Settlement(Part):
    """Decision of a person about a call: one of unknown outcome, or one that requires approval.

    It permits one call, not one per delivery.
    """

    request_id: Id
    answer: str
    asked: Literal["outcome", "permission"] = "outcome"
    digest: str | None = Field(None, description="Digest of the only call that may be made.")
    until: Instant | None = Field(None, description="Time at which the permission expires.")
    refused: Literal["respond", "skip"] | None = Field(
        None, description="The call is not made: the agent continues with `answer`, or without it."
    )
    arguments: str | None = Field(None, description="Arguments to call with instead of the model's, as JSON.")
    risk: Risk | None = Field(None, description="Of an edit: highest risk of the call that this permits.")
    moves: dict[str, Amount] = Field(default_factory=dict, description="Of an edit: largest amounts it permits.")
    recipients: int | None = Field(None, ge=0, le=MOST, description="Of an edit: most destinations it permits.")
    by: str | None = Field(None, max_length=200, description="Person who decided, if recorded.")
    reverify: bool = Field(False, description="The reads of this work are repeated first, and must be unchanged.")
    trusted: bool = Field(
        True, description="False: its words permit no other call, since one person wrote them where more are asked."
    )

    @property
    def repeats(self) -> bool:
        """Return true if it permits the call, rather than stating that the call has happened."""
        if self.refused is not None:
            return False
        return self.asked == "permission" or self.answer.lower().startswith(REPEAT)

    @property
    def words(self) -> str:
        """Return the words of the person who decided about a proposed call; empty for an outcome.

        An agent's own question counts as an outcome: its model chooses what people are asked to say.
        """
        return self.answer if self.asked == "permission" and self.trusted else ""

    def permits(self, digest: str | None, now: datetime) -> bool:
        """Return true if the call with that digest may be made now. Unknown outcomes match by place alone."""
        this_one = self.digest == digest if self.asked == "permission" else True
        return self.repeats and this_one and (self.until is None or now <= self.until)
