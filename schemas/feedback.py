"""Feedback of people on ended runs: if a run solved their problem."""

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.approval import Command
from schemas.event import RunEvent
from schemas.message import Amount, Count, Instant, Part
from schemas.versions import Versions

LONGEST_COMMENT = 2_000
"""Characters of a comment."""

MOST_PEOPLE = 50
"""People whose feedback a run keeps."""

MOST_TIMES = 20
"""Times that one of them may give it: the latest counts."""

Score = Annotated[int, Field(ge=1, le=5)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_COMMENT)]


class Feedback(Command):
    """Say if an ended run solved the author's problem. Of each person the latest counts.

    Requires the signature of the person named in `by`: docs/access.md.
    """

    solved: bool
    score: Score | None = Field(None, description="From 1, useless, to 5, perfect.")
    comment: Comment = Field("", description="For people; no agent is given it as an instruction.")


class Rating(Part):
    """The latest feedback of one person on a run."""

    person: str = Field(max_length=200)
    at: Instant
    solved: bool
    score: Score | None = None
    comment: str = Field("", max_length=LONGEST_COMMENT, description="As the guardrails left it.")
    times: int = Field(1, ge=1, le=MOST_TIMES, description="Times that the person has given feedback on this run.")


class FeedbackGiven(RunEvent):
    """A person said if the run solved their problem. Names what the run was made with, so that it stands alone."""

    person: str = Field(max_length=200, description="The person behind the name in `by`.")
    solved: bool
    before: bool | None = Field(None, description="What the same person said before; null: nothing.")
    score: Score | None = None
    comment: str = Field("", max_length=LONGEST_COMMENT, description="As the guardrails left it.")
    task_type: str | None = Field(None, description="Type of the task.")
    state: str = Field("", description="State in which the run ended.")
    agents: dict[str, Versions | None] = Field(
        default_factory=dict, description="Agents whose steps were done, with the versions of their last answers."
    )
    models: list[str] = Field(default_factory=list)
    cost_usd: Amount = 0.0
    steps: Count = 0


def summary_of(ratings: list[Rating]) -> str | None:
    """Return `yes`, `no`, or `mixed` if people disagree; None without feedback."""
    said = {each.solved for each in ratings}
    if not said:
        return None
    return "mixed" if len(said) > 1 else "yes" if said.pop() else "no"


def rated(ratings: list[Rating], event: FeedbackGiven) -> list[Rating]:
    """Return the ratings with this one in place of the same person's earlier one."""
    times = next((each.times for each in ratings if each.person == event.person), 0)
    given = event.model_dump(include={"person", "at", "solved", "score", "comment"})
    rating = Rating.model_validate(given | {"times": times + 1})
    if not times:
        return [*ratings, rating]
    return [rating if each.person == event.person else each for each in ratings]
