"""Costs by the audit record, as they are asked and shown."""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints

from schemas.message import MOST, MOST_USD, Instant, Part, Slug

CostName: TypeAlias = Literal["agent", "task_type", "model", "tool", "day", "run"]


class AuditCostQuestion(Part):
    """A tenant, a time and the names to group by."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)  # part of a request

    tenant: Slug | None = Field(None, description="Tenant; the default is `default`.")
    month: str | None = Field(
        None,
        pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$",
        description="A month by UTC, such as `2026-10`; the default is the present one. Not with `since` or `until`.",
    )
    since: Instant | None = Field(None, description="Calls from this time on.")
    until: Instant | None = Field(None, description="Calls before this time; the default is now.")
    by: list[CostName] = Field(
        default=["agent", "task_type"],
        min_length=1,
        max_length=6,
        description="Names to group by, in this order.",
    )
    limit: int = Field(1_000, ge=1, le=10_000, description="Maximum number of lines.")


class AuditCostLine(Part):
    """Sums for the names of a line."""

    names: list[Annotated[str, StringConstraints(max_length=200)]] = Field(
        max_length=6, description="In the order of `by`; `(none)`: a call without this name."
    )
    cost_usd: float = Field(ge=0, le=MOST_USD * 1_000_000, description="By the price lists at the time of the calls.")
    tokens_in: int = Field(ge=0, le=MOST * 1_000)
    tokens_out: int = Field(ge=0, le=MOST * 1_000)
    model_calls: int = Field(ge=0, le=MOST * 1_000)
    tool_calls: int = Field(ge=0, le=MOST * 1_000, description="Calls that were made, failed ones included.")
    lost: int = Field(ge=0, le=MOST * 1_000, description="Attempts without an answer; their cost is not known.")


class AuditCosts(Part):
    """Costs of a tenant."""

    tenant: str = Field(max_length=200)
    since: Instant
    until: Instant
    by: list[CostName] = Field(max_length=6)
    total: AuditCostLine
    lines: list[AuditCostLine] = Field(description="The most expensive first.")
    complete: bool = Field(description="True if these are all lines.")
