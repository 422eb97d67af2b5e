"""Limits of a tool: rates, retries, circuit breaking, caching and timeout."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Limits declared with the tool and overridden by an operator, field by field. An unset field limits nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    per_minute: float | None = Field(
        None, gt=0, description="Calls in any 60 seconds, by all replicas and tenants together."
    )
    tenant_per_minute: float | None = Field(None, gt=0, description="Calls in any 60 seconds of one tenant.")
    most_per_step: int | None = Field(None, ge=1, description="Calls in one step.")
    breaker: bool | None = Field(
        None, description="Pause calls to its dependency after consecutive failures, on all replicas."
    )
    retries: int = Field(2, ge=0, le=10, description="Retries within a call, of a tool that may be repeated.")
    cache_for: float | None = Field(
        None,
        ge=0,
        description="Seconds for which a cached result may be used when the dependency fails; only tools that read.",
    )
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds, retries included.")

    def under(self, over: "Limits | None") -> Self:
        """Return these limits, overridden by the fields set in `over`."""
        return self if over is None else self.model_copy(update=over.model_dump(exclude_unset=True))


NONE = Limits()
