"""Settings of the research agent."""

from pydantic import Field

from shared.config import Names, Paths, ServiceSettings


class ResearchSettings(ServiceSettings):
    """Places the research agent may read from."""

    documents: Paths = Field((), description="Folders the research agent may search and read.")
    fetch_allow: Names = Field((), description="Hosts that may be fetched although their address is not public.")
