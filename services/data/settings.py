"""Settings of the data agent."""

from pydantic import Field, field_validator

from shared.access.tenants.places import database_places, databases_of
from shared.config import Pairs, ServiceSettings


class DataSettings(ServiceSettings):
    """Databases the data agent may read."""

    databases: Pairs = Field(
        default_factory=dict,
        repr=False,
        description="Databases the data agent may read: `name=postgresql://…` or `name=/path.duckdb` for the tenant "
        "`default`, `acme/name=…` for another, `*/name=…` for all, an address with `{tenant}` for each its own: "
        "docs/access.md.",
    )

    @field_validator("databases")
    @classmethod
    def _owned(cls, databases: dict[str, str]) -> dict[str, str]:
        list(database_places(databases))
        return databases

    def databases_of(self, tenant: str) -> dict[str, str]:
        """Return the databases of a tenant, name → address."""
        return databases_of(self.databases, tenant)
