"""Topics and the lag of their consumer groups."""

from pydantic import Field

from schemas.message import Part


class GroupLag(Part):
    """A consumer group of a topic."""

    group: str
    lag: int | None = Field(description="Messages not yet committed; null for a group that commits nothing.")
    members: int | None = Field(None, description="Members of the group; null if the broker cannot report them.")
    state: str | None = Field(
        None, description="Kafka's name: `Stable`, `PreparingRebalance`, `Empty`, `Dead`; null if it is unknown."
    )


class TopicLag(Part):
    """A topic; names include the prefix."""

    topic: str
    partitions: int
    messages: int = Field(description="Messages retained by Kafka.")
    written: int = Field(description="Messages ever written; the difference of two readings gives the rate.")
    groups: list[GroupLag]
