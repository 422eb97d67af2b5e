"""Records of the topic `memories`, a table: the last record of each key counts, and Postgres is a view of it."""

import hashlib
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from schemas.conversation import LONGEST_ANSWER, LONGEST_ASKED
from schemas.memory import Memory, Name, Source, writable
from schemas.message import Id, Instant, Message, Part, Slug

LONGEST_REASON = 500
"""Characters of a reason."""

LONGEST_SAID = 1_000
"""Characters of a person's answer."""

MOST_SAID = 10
"""Answers of people in a turn."""

Author: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200), BeforeValidator(writable)]
"""Person or service."""

Reason: TypeAlias = Annotated[str, StringConstraints(max_length=LONGEST_REASON), BeforeValidator(writable)]


_DIGEST = "sha256:"


def hidden(name: str) -> str:
    """Return the digest by which an order to forget names a subject or session, so that it keeps none itself."""
    is_digest = name.startswith(_DIGEST) and len(name) == len(_DIGEST) + 64
    return name if is_digest or not name else _DIGEST + hashlib.sha256(name.encode()).hexdigest()


def hidden_subject(name: str) -> str:
    """Return the digest of a subject, which is found in lower and upper case."""
    return hidden(name.lower())


Hidden: TypeAlias = Annotated[Name, AfterValidator(hidden)]
"""Name that is replaced by its digest."""

HiddenSubject: TypeAlias = Annotated[Name, AfterValidator(hidden_subject)]


class MemoryKept(Message):
    """A memory as it is now. Its key is the memory's id; of several records the highest version counts."""

    memory: Memory
    by: Author = Field(description="Service that derived it, or person who corrected, pinned or confirmed it.")
    reason: Reason = ""

    @property
    def tenant(self) -> str:
        """Tenant of the memory."""
        return self.memory.tenant

    @property
    def key(self) -> str:
        """Key of the record."""
        return self.memory.id


class MemoryForgotten(Message):
    """A memory is forgotten for good: no later record of its key brings it back. Its content is in no record."""

    tenant: Slug
    id: Id = Field(description="Id of the memory, and key of the record.")
    by: Author
    reason: Reason = ""
    at: Instant

    @property
    def key(self) -> str:
        """Key of the record."""
        return self.id


class ForgettingOrdered(Message):
    """Memories of a selection are forgotten: those created at or before `at`, in any order of arrival.

    The order stands: a memory of the selection that arrives later is refused. Given fields are met all together. The
    order does not hold the names that it forgets.
    """

    tenant: Slug
    subject: HiddenSubject | None = Field(
        None, description="`sha256:` and the digest of the name in lower case, which it replaces."
    )
    run: Annotated[str, Field(max_length=255)] | None = None
    session: Hidden | None = Field(None, description="Likewise, of the session as it is written.")
    everything: bool = Field(False, description="All memories of the tenant.")
    by: Author
    reason: Reason = ""
    at: Instant

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if self.everything == any((self.subject, self.run, self.session)):
            raise ValueError("name a subject, a run or a session, or else everything")
        return self

    @property
    def key(self) -> str:
        """Key of the record: equal for the same selection, of which the latest order counts."""
        parts = [self.tenant, self.subject or "", self.run or "", self.session or "", str(self.everything)]
        return "forget/" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


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
    flagged: bool = Field(False, description="A guardrail has found something: the caller's words are not trusted.")
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
