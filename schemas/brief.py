"""Brief of one agent for the next, and the agents to choose from."""

import hashlib
import json
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.fact import Fact, Source
from schemas.message import Part, Slug
from schemas.task import Artefact

LARGEST_BRIEF = 16_000
"""Characters of a brief as JSON, without its list of files: about 4,000 tokens. Every later agent reads it."""


class Brief(Part):
    """Summary that an agent hands over with its work: short text and references, never a transcript."""

    request: str = Field(min_length=1, max_length=4_000, description="Request to the next agent, complete in itself.")
    found: str = Field("", max_length=8_000, description="Findings so far, in short.")
    facts: list[Fact] = Field(default_factory=list, max_length=100, description="Values to compute with.")
    sources: list[Source] = Field(default_factory=list, max_length=100, description="Sources of what was found.")
    artefacts: list[Artefact] = Field(
        default_factory=list, max_length=100, description="Files made so far; those the step has saved are added."
    )
    open_questions: list[Annotated[str, StringConstraints(max_length=1_000)]] = Field(
        default_factory=list, max_length=20, description="Questions that are not answered yet."
    )
    confidence: float = Field(0.5, ge=0, le=1, description="Confidence in what was found.")

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        size = len(self.model_dump_json(exclude={"artefacts"}))
        if size > LARGEST_BRIEF:
            raise ValueError(f"the brief has {size} characters, more than {LARGEST_BRIEF}: keep large content in files")
        return self

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the brief as canonical JSON: sorted names, no spaces, defaults left out."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class HandedBrief(Part):
    """A brief as the next agent receives it."""

    by: Slug = Field(description="Agent that handed over.")
    step_id: Slug
    brief: Brief
    digest: str = Field(max_length=64, description="Digest of the brief as its author reported it.")
    tainted: bool = Field(False, description="True if its author had read untrusted content.")


class Colleague(Part):
    """An agent that work may be handed over to."""

    name: Slug
    description: str
