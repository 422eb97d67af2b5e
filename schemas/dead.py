"""What people did about dead letters."""

from typing import Literal

from pydantic import Field

from schemas.message import Instant, Message


class DeadLetterHandled(Message):
    """Somebody redrove a dead letter or discarded it. Of several for one dead letter the last counts."""

    name: str = Field(
        min_length=1, description="`<topic>.dlt/<partition>/<offset>` of the dead letter, without the prefix."
    )
    action: Literal["redriven", "discarded"] = Field(
        description="`redriven`: put back where it was; `discarded`: given up for good."
    )
    by: str = Field(min_length=1, description="Who did it.")
    at: Instant
    reason: str = Field("", description="Why; never empty for a discarded one.")
    died: Instant = Field(
        description="Kafka's timestamp of the dead letter. If another one has its name now, its topic was made anew."
    )
