"""What the logs in Kafka keep, so that whatever the blackboard holds can be made again from them."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from schemas.message import MOST, Count, Id, Instant, Message, Part, Slug
from schemas.plan import AgentCard

MOST_EPOCH = 2**53
"""Upper bound of an epoch: the largest number that Redis's scripts count exactly."""


class LoggedEvent(Part):
    """One event of a run."""

    type: str = Field(description="Its wire type, such as `waggle.moved.v1`.")
    data: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(description="As the schema of that type says.")

    def shown(self) -> str:
        """The event as JSON for followers, without what only the swarm itself may know."""
        return self.model_dump_json(exclude={"data": {"secret"}})


class RunChanged(Message):
    """Everything that one message led to, all or nothing. A run is the fold of the events of its changes."""

    run_id: Id
    tenant: Slug
    epoch: int = Field(
        ge=0, le=MOST_EPOCH, description="Of two changes with one number, the one with the higher epoch counts."
    )
    number: int = Field(ge=1, le=MOST, description="1 for a run's first change, then one more each.")
    cause: Id = Field(description="The message that was decided about.")
    mark: str | None = Field(None, description="Digest that names that message by its type, source and id.")
    at: Instant
    events: list[LoggedEvent]


class JournalWritten(Message):
    """One entry of the journal of some work: a model's reply, a tool's result, or the intent to call a tool."""

    tenant: Slug = "default"
    work_id: Id = Field(description="`<run>/<step>/<number>`")
    epoch: int = Field(ge=0, le=MOST_EPOCH, description="The fencing epoch of the worker that wrote it.")
    name: str
    entry: JsonValue
    of: JsonValue = Field(None, description="What the entry is an answer to: the call, or the turn of a model.")

    @property
    def run_id(self) -> str:
        """The run whose work it is."""
        return self.work_id.partition("/")[0]


class GenerationBegun(Message):
    """The blackboard was made anew; the next making has a higher epoch, whatever Redis has forgotten."""

    epoch: int = Field(ge=1, le=MOST_EPOCH)
    at: Instant
    partitions: dict[str, Count] = Field(
        default_factory=dict, description="How many partitions the logs had that it was made from."
    )


class AgentAnnounced(Message):
    """An agent of the swarm, so that planners can choose it."""

    card: AgentCard
