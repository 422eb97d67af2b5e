"""Topics, the lag of their consumer groups, and a look at their records."""

from pydantic import Field

from schemas.message import Instant, Part


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


class PartitionLag(Part):
    """A partition of a topic."""

    partition: int
    first: int = Field(description="First offset that Kafka retains.")
    end: int = Field(description="Offset of the next record.")
    lag: dict[str, int] = Field(description="Messages that each group has not committed yet.")


class TopicDetail(Part):
    """A topic with its partitions."""

    topic: str = Field(description="Without the prefix.")
    groups: list[str] = Field(description="Its consumer groups; those without lag commit nothing.")
    partitions: list[PartitionLag]


class RecordPeek(Part):
    """A record of a topic."""

    offset: int
    at: Instant = Field(description="By its writer's clock.")
    key: str | None = Field(description="The first 500 characters.")
    size: int = Field(description="Bytes of the payload.")
    tombstone: bool = Field(description="True if it erases its key.")
    type: str | None = None
    source: str | None = None
    id: str | None = None
    tenant: str | None = None
    problem: str = Field("", description="Reason why its envelope cannot be read.")
    payload: str | None = Field(None, description="The first 20,000 characters; null unless contents were asked for.")
    cut: bool = False
