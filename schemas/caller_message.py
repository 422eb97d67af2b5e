"""Messages that callers add to a run at work, and their feedback on one that has ended."""

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.message import Id, Instant, Part

MOST_MESSAGES = 20
"""Messages that a run takes."""

MOST_OF_OTHERS = 10
"""Messages that it takes of others than the author of its task, so that they leave room for the author's."""

LONGEST_MESSAGE = 4_000
"""Characters of one."""


LONGEST_COMMENT = 2_000
"""Characters of a comment."""

MOST_PEOPLE = 50
"""People whose feedback a run keeps."""

MOST_TIMES = 20
"""Times that one of them may give it: the latest counts."""

Score = Annotated[int, Field(ge=1, le=5)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_COMMENT)]


class CallerMessage(Part):
    """Words that a person or a system has added to a run since it started."""

    message_id: Id
    by: str = Field(max_length=200, description="Author of the message.")
    at: Instant
    text: str = Field(max_length=LONGEST_MESSAGE)
    own: bool = Field(
        False, description="True if the author of the task wrote it: then it counts as the task's own words."
    )


class Rating(Part):
    """The latest feedback of one person on a run."""

    person: str = Field(max_length=200)
    at: Instant
    solved: bool
    score: Score | None = None
    comment: str = Field("", max_length=LONGEST_COMMENT, description="As the guardrails left it.")
    times: int = Field(1, ge=1, le=MOST_TIMES, description="Times that the person has given feedback on this run.")


def summary_of(ratings: list[Rating]) -> str | None:
    """Return `yes`, `no`, or `mixed` if people disagree; None without feedback."""
    said = {each.solved for each in ratings}
    if not said:
        return None
    return "mixed" if len(said) > 1 else "yes" if said.pop() else "no"
