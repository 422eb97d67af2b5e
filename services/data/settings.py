"""Settings of the data agent."""

from pydantic import Field

from shared.config import Pairs, ServiceSettings


class DataSettings(ServiceSettings):
    """Databases the data agent may read."""

    databases: Pairs = Field(
        default_factory=dict,
        repr=False,
        description="Databases the data agent may read: `name=postgresql://…` or `name=/path.duckdb`.",
    )
