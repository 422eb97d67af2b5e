"""How often a tool may be called, and what is done when what it calls does not work."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Declared where the tool is, and overridden by an operator, field by field. What is not said limits nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    per_minute: float | None = Field(
        None, gt=0, description="Calls in any 60 seconds, by all replicas and tenants together."
    )
    tenant_per_minute: float | None = Field(None, gt=0, description="Calls in any 60 seconds of one tenant.")
    most_per_step: int | None = Field(None, ge=1, description="Calls in one step.")
    breaker: bool | None = Field(
        None, description="Leave what it calls alone for a while after failures in a row, on all replicas."
    )
    retries: int = Field(2, ge=0, le=10, description="Repetitions within a call, of a tool that may be called twice.")
    cache_for: float | None = Field(
        None,
        ge=0,
        description="Seconds for which a result may stand in for one that cannot be had; only tools that read.",
    )
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds, repetitions included.")

    def under(self, over: "Limits | None") -> Self:
        """These, with whatever the other ones say in their place."""
        return self if over is None else self.model_copy(update=over.model_dump(exclude_unset=True))


NONE = Limits()
