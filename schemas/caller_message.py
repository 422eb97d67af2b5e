"""Messages that callers add to a run at work."""

from pydantic import Field

from schemas.message import Id, Instant, Part

MOST_MESSAGES = 20
"""Messages that a run takes."""

MOST_OF_OTHERS = 10
"""Messages that it takes of others than the author of its task, so that they leave room for the author's."""

LONGEST_MESSAGE = 4_000
"""Characters of one."""


class CallerMessage(Part):
    """Words that a person or a system has added to a run since it started."""

    message_id: Id
    by: str = Field(max_length=200, description="Author of the message.")
    at: Instant
    text: str = Field(max_length=LONGEST_MESSAGE)
    own: bool = Field(
        False, description="True if the author of the task wrote it: then it counts as the task's own words."
    )
