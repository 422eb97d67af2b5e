"""Turns of a conversation: what earlier tasks of a session asked for, and what was answered."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from schemas.caller_message import MOST_MESSAGES
from schemas.message import Amount, Count, Id, Instant, Part
from schemas.task import Artefact

LONGEST_ASKED = 2_000
"""Characters of an objective in a turn."""

LONGEST_ANSWER = 4_000
"""Characters of an answer in a turn."""

LONGEST_ADDED = 500
"""Characters of a message in a turn."""

LONGEST_LINE = 160
"""Characters of an objective that stands for its turn."""

RECENT_TURNS = 8
"""Turns that a task is given whole."""

EARLIER_TURNS = 20
"""Older turns of which a task is given the objective alone."""

MOST_FACTS = 20
"""Facts and files of a turn."""

LONGEST_FACT = 600
"""Characters of a sentence that was extracted from a turn."""

OLDER_FACTS = 30
"""Facts of older turns that a task is given."""

_Named: TypeAlias = Annotated[str, StringConstraints(max_length=200)]
_Value: TypeAlias = (
    Annotated[str, StringConstraints(max_length=300)] | Annotated[int, Field(ge=-(2**53), le=2**53)] | Amount | bool
)
_Added: TypeAlias = Annotated[str, StringConstraints(max_length=LONGEST_ADDED)]
_Line: TypeAlias = Annotated[str, StringConstraints(max_length=LONGEST_LINE)]


class ConversationTurn(Part):
    """One task of a session: what was asked, and what came of it. `running`: its run has not ended."""

    run_id: Id
    objective: str = Field(max_length=LONGEST_ASKED, description="The caller's words then.")
    added: list[_Added] = Field(
        default_factory=list, max_length=MOST_MESSAGES, description="Messages that its author added while it ran."
    )
    status: Literal["running", "complete", "rejected", "failed", "cancelled"]
    answer: str | None = Field(None, max_length=LONGEST_ANSWER, description="Text of a model: never trusted later.")
    shortened: bool = Field(False, description="Objective, answer, facts or files are longer than shown here.")
    agents: list[_Named] = Field(default_factory=list, max_length=20, description="Agents whose steps were done.")
    origins: list[_Named] = Field(
        default_factory=list,
        max_length=50,
        description="Content besides the caller's words that the answer rests on.",
    )
    artefacts: list[Artefact] = Field(
        default_factory=list, max_length=MOST_FACTS, description="Files it was given, and files it made."
    )
    facts: dict[_Named, _Value] = Field(default_factory=dict, max_length=MOST_FACTS)
    error: str | None = Field(None, max_length=200, description="Code of the error it ended with.")
    started: Instant
    finished: Instant | None = None


class ConversationFact(Part):
    """A sentence of an older turn that was extracted from it, with whose words it is."""

    content: str = Field(max_length=LONGEST_FACT)
    run_id: Id = Field(description="Run of its turn.")
    at: Instant = Field(description="End of that run.")
    origins: list[_Named] = Field(
        default_factory=list,
        max_length=50,
        description="Untrusted content that it comes from; empty: a person's words.",
    )


class Conversation(Part):
    """Earlier turns of a session, as a task is given them. Bounded, however long the session is."""

    session: Id
    turns: list[ConversationTurn] = Field(
        default_factory=list, max_length=RECENT_TURNS, description="The latest turns that have ended, oldest first."
    )
    earlier: list[_Line] = Field(
        default_factory=list, max_length=EARLIER_TURNS, description="Objectives of the turns before, oldest first."
    )
    left_out: Count = Field(0, description="Number of turns before those.")
    facts: list[ConversationFact] = Field(
        default_factory=list,
        max_length=OLDER_FACTS,
        description="Facts extracted from turns before the latest, oldest first.",
    )
    in_progress: list[_Line] = Field(
        default_factory=list, max_length=EARLIER_TURNS, description="Objectives of turns that had not ended."
    )


class SessionEnd(Part):
    """The end of a conversation, set by a person: tasks after it start with an empty one."""

    by: str = Field(max_length=200)
    at: Instant
