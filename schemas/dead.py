"""Records of redriven and discarded dead letters."""

from typing import Literal

from pydantic import Field

from schemas.message import Instant, Message


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
    reason: str = Field("", description="Reason; never empty for a discarded dead letter.")
    died: Instant = Field(
        description="Kafka timestamp of the dead letter. With another one under this name the topic was recreated."
    )
