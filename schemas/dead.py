"""Records of redriven and discarded dead letters."""

from typing import Literal

from pydantic import Field

from schemas.message import MOST, Instant, Message, Part

MOST_EDITS = 100
"""Changed fields that the record of an edit lists."""


class FieldEdit(Part):
    """A field that an edit changed, with the beginnings of its values as JSON."""

    path: str = Field(max_length=500, description="Such as `context.attachments[0].name`.")
    before: str | None = Field(None, max_length=1_000, description="Null: the field was added.")
    after: str | None = Field(None, max_length=1_000, description="Null: the field was removed.")


class DeadLetterHandled(Message):
    """A dead letter was redriven or discarded. Of several records for one dead letter the last counts."""

    name: str = Field(
        min_length=1, description="`<topic>.dlt/<partition>/<offset>` of the dead letter, without the prefix."
    )
    action: Literal["redriven", "discarded"] = Field(
        description="`redriven`: put back on its topic; `discarded`: dropped for good."
    )
    by: str = Field(min_length=1, description="Operator who did it.")
    at: Instant
    reason: str = Field("", description="Reason; never empty for a discarded or an edited dead letter.")
    died: Instant = Field(
        description="Kafka timestamp of the dead letter. With another one under this name the topic was recreated."
    )
    edits: list[FieldEdit] = Field(
        default_factory=list,
        max_length=MOST_EDITS,
        description="Fields that were changed before it was redriven; empty: it was redriven as it was.",
    )
    more_edits: int = Field(0, ge=0, le=MOST, description="Changed fields that `edits` does not list.")
