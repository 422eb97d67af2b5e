"""Turns whose facts are extracted for the memory, once each."""

import hashlib
from typing import Annotated

from pydantic import Field

from schemas.conversation import LONGEST_ANSWER, LONGEST_ASKED
from schemas.memory import Name, Source
from schemas.message import Id, Instant, Message, Part, Slug

LONGEST_SAID = 1_000
"""Characters of a person's answer."""

MOST_SAID = 10
"""Answers of people in a turn."""


class PersonWords(Part):
    """Words of a person who answered a question of the run."""

    by: Name
    words: str = Field(max_length=LONGEST_SAID)


class TurnNoted(Message):
    """A turn that has ended and waits for the extraction of its facts. Once it is read, its record has no words."""

    tenant: Slug
    run_id: Id
    session: Name = Field("", description="Conversation of the run; empty: none.")
    started: Instant
    ended: Instant
    source: Source = Field(description="Record with the end of the run.")
    asked: str = Field("", max_length=LONGEST_ASKED, description="The caller's words.")
    caller: Name = Field("", description="Person who requested the task, as far as the gateway knows.")
    said: list[PersonWords] = Field(default_factory=list, max_length=MOST_SAID)
    answer: str = Field("", max_length=LONGEST_ANSWER, description="Text of a model: never trusted.")
    origins: list[Annotated[Name, Field(min_length=1)]] = Field(
        default_factory=list, max_length=50, description="Content that the answer rests on."
    )
    done: Instant | None = Field(None, description="Time at which its facts were extracted; null: they wait.")
    outcome: str = Field("", max_length=200, description="Number of facts found, or the reason why none were.")

    @property
    def key(self) -> str:
        """Key of the record."""
        return turn_key(self.tenant, self.run_id)

    def done_at(self, at: Instant, outcome: str) -> "TurnNoted":
        """Return the record of the turn once its facts are extracted."""
        kept = self.model_dump(include={"tenant", "run_id", "session", "started", "ended", "source"})
        return TurnNoted(**kept, done=at, outcome=outcome[:200])


def turn_key(tenant: str, run_id: str) -> str:
    """Return the key of a turn's record."""
    return "turn/" + hashlib.sha256(f"{tenant}\x00{run_id}".encode()).hexdigest()[:32]
