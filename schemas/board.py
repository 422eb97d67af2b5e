"""Entries of a run's board, and claims of runs on outside resources."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from schemas.message import MOST, Id, Instant, Json, Part, Slug

BoardKind: TypeAlias = Literal["finding", "artefact", "question"]
"""Kind of an entry: something found, a reference to a file, an open question with its answer once there is one."""

LONGEST_KEY, LONGEST_REASON, LARGEST_CONTENT = 100, 300, 8_000
"""Characters; those of the content are of its JSON."""

MOST_ORIGINS = 50
"""Origins of untrusted content that an entry names."""

LONGEST_CLAIM = 86_400.0
"""Seconds."""

BoardKey: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_KEY, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""Name of an entry, or of a resource: one line."""

BoardReason: TypeAlias = Annotated[str, StringConstraints(max_length=LONGEST_REASON)]

LARGEST_NUMBER = 2**53
"""Upper bound of numbers that Redis scripts count."""


class BoardEntry(Part):
    """One version of an entry on a run's board. It is material: no action is permitted by it."""

    run_id: Id
    tenant: Slug
    kind: BoardKind
    key: BoardKey
    version: int = Field(ge=1, le=MOST, description="Consecutive per kind and key, starting at 1.")
    content: Json
    reason: BoardReason = ""
    agent: Slug = Field(description="Author.")
    step: Id
    work_id: Id = Field(description="Work of the handoff in which it was posted.")
    origin: str = Field(max_length=300, description="Source, as readers are shown it.")
    taint: list[Annotated[str, StringConstraints(max_length=300)]] = Field(
        default_factory=list, max_length=MOST_ORIGINS, description="Origins of the content its author had read."
    )
    at: Instant

    @property
    def name(self) -> tuple[str, str]:
        """Kind and key, which are the same in all versions."""
        return self.kind, self.key


class Claim(Part):
    """A claim of one run on a resource outside, which other runs of the tenant respect until it ends."""

    resource: BoardKey
    number: int = Field(ge=1, le=LARGEST_NUMBER, description="Fencing number: grows with every claim of the tenant.")
    run_id: Id
    tenant: Slug
    agent: Slug
    step: Id
    work_id: Id
    reason: BoardReason = ""
    since: Instant
    until: Instant = Field(description="End of the claim, unless its run ends or releases it before.")


ClaimSeconds: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_CLAIM)]
WaitSeconds: TypeAlias = Annotated[float, Field(ge=0, le=60)]


class BoardPosted(Part):
    """Record of an entry in the journal log."""

    entry: BoardEntry | None = Field(None, description="None: nothing was posted at this place after all.")
    reservation: int = Field(
        ge=1, le=LARGEST_NUMBER, description="Of two records of one version, or of one place, the higher one counts."
    )
    place: str = Field(max_length=600, description="Place of the post in the work of its author.")


class ClaimRecorded(Part):
    """Record of a claim in the journal log, or of its release."""

    claim: Claim
    released: bool = False
    by: str = Field("", max_length=200, description="Author of the release.")
    why: BoardReason = ""
