"""Accepted tasks."""

from pydantic import Field

from schemas.message import Part


class Links(Part):
    """Paths of the run at this gateway."""

    self: str = Field(description="The run.")
    events: str = Field(description="Its event stream.")
    result: str = Field(description="Its result.")


class TaskAccepted(Part):
    """A task that Kafka has acknowledged."""

    run_id: str
    task_id: str
    tenant: str
    links: Links
