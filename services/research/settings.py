"""Settings of the research agent."""

from pathlib import Path

from pydantic import Field, field_validator

from shared.access.tenants.places import check_folders, folders_of
from shared.config import Names, Paths, ServiceSettings


class ResearchSettings(ServiceSettings):
    """Places the research agent may read from."""

    documents: Paths = Field(
        (),
        description="Folders the research agent may search and read: `/folder` for the tenant `default`, "
        "`acme=/folder` for another, `*=/folder` for all, `/folders/{tenant}` for each its own: docs/access.md.",
    )
    fetch_allow: Names = Field((), description="Hosts that may be fetched although their address is not public.")

    @field_validator("documents")
    @classmethod
    def _owned(cls, documents: tuple[Path, ...]) -> tuple[Path, ...]:
        check_folders(map(str, documents))
        return documents

    def folders(self, tenant: str) -> tuple[Path, ...]:
        """Return the folders of a tenant."""
        return folders_of(map(str, self.documents), tenant)
