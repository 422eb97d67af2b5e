"""Records of the Kafka logs, from which the blackboard can be rebuilt."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from schemas.message import MOST, Count, Id, Instant, Message, Part, Slug
from schemas.plan import AgentCard

MOST_EPOCH = 2**53
"""Upper bound of an epoch: the largest integer that Redis scripts count exactly."""


class LoggedEvent(Part):
    """One event of a run."""

    type: str = Field(description="Wire type, such as `waggle.moved.v1`.")
    data: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(description="Payload, by the schema of that type.")

    def shown(self) -> str:
        """The event as JSON for followers, without internal secrets and without earlier turns."""
        return self.model_dump_json(exclude={"data": {"secret", "conversation"}})


class RunChanged(Message):
    """All events caused by one message, written atomically. A run is the fold of the events of its changes."""

    run_id: Id
    tenant: Slug
    epoch: int = Field(
        ge=0, le=MOST_EPOCH, description="Of two changes with the same number, the one with the higher epoch counts."
    )
    number: int = Field(ge=1, le=MOST, description="Consecutive per run, starting at 1.")
    cause: Id = Field(description="The message that caused the change.")
    mark: str | None = Field(None, description="Digest of that message's type, source and id.")
    at: Instant
    events: list[LoggedEvent]


class JournalWritten(Message):
    """One entry of the journal of some work: a model's reply, a tool's result, or the intent to call a tool."""

    tenant: Slug = "default"
    work_id: Id = Field(description="`<run>/<step>/<number>`")
    epoch: int = Field(ge=0, le=MOST_EPOCH, description="Fencing epoch of the worker that wrote it.")
    name: str
    entry: JsonValue
    of: JsonValue = Field(None, description="Key of the entry: the call, or the model turn.")

    @property
    def run_id(self) -> str:
        """Id of the run that the work belongs to."""
        return self.work_id.partition("/")[0]


class GenerationBegun(Message):
    """The blackboard was rebuilt; each rebuild has a higher epoch than the last, even if Redis lost its data."""

    epoch: int = Field(ge=1, le=MOST_EPOCH)
    at: Instant
    partitions: dict[str, Count] = Field(
        default_factory=dict, description="Partition counts of the logs it was rebuilt from."
    )


class AgentAnnounced(Message):
    """An agent of the swarm, announced for planners."""

    card: AgentCard
