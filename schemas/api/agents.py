"""An agent as the gateway shows it: its card, and the reports of its replicas."""

from pydantic import Field

from schemas.health import AgentHealth
from schemas.message import Instant
from schemas.plan import AgentCard


class AgentView(AgentCard):
    """An agent that has announced itself."""

    replicas: list[AgentHealth] = Field(
        default_factory=list, description="Reports of the replicas that run now; empty: none runs, or all are older."
    )
    seen: Instant | None = Field(None, description="Time of its last announcement; null if none is known.")
    running: bool = Field(True, description="False if no replica seems to run: it has missed several announcements.")
