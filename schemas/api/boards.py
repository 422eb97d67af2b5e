"""The board of a run, and claims on resources outside."""

from pydantic import Field

from schemas.api.commands import ReasonedRequest
from schemas.board import LARGEST_NUMBER, BoardEntry, BoardKey, Claim
from schemas.message import Part


class BoardView(Part):
    """Entries that the agents of a run share: written by models, perhaps from what strangers wrote."""

    entries: list[BoardEntry]
    claims: list[Claim] = Field(description="Resources that the run holds.")
    withheld: bool = Field(
        False, description="True if contents, reasons and origins are left out: they need the role `contents`."
    )


class ClaimsView(Part):
    """Resources that runs of the tenant hold."""

    claims: list[Claim]


class ReleaseRequest(ReasonedRequest):
    """The claim to end."""

    resource: BoardKey
    number: int | None = Field(
        None, ge=1, le=LARGEST_NUMBER, description="Number of the claim: a later one is not ended. Default: any."
    )
