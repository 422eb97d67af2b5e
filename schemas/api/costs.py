"""Costs of a tenant by day, agent, model and type of task, and of all tenants."""

from datetime import date

from pydantic import Field

from schemas.message import MOST, MOST_USD, Part


class CostLine(Part):
    """Sums for one name."""

    name: str = Field(description="Day, agent, model, type of task or tenant.")
    cost_usd: float = Field(ge=0, le=MOST_USD * 1_000, description="US dollars, by the price lists of the services.")
    tokens: int = Field(ge=0, le=MOST * 1_000, description="Prompt and completion tokens together.")
    model_calls: int = Field(ge=0, le=MOST * 1_000)
    tool_calls: int = Field(ge=0, le=MOST * 1_000)


class CostReport(Part):
    """Costs of a tenant. A step counts when its agent has reported, on the UTC day on which the run recorded it."""

    tenant: str
    since: date = Field(description="First day.")
    until: date = Field(description="Last day: today, by UTC.")
    total: CostLine
    days: list[CostLine] = Field(description="Every day, oldest first.")
    agents: list[CostLine] = Field(description="The most expensive first, as in the lists below.")
    models: list[CostLine] = Field(description="Models; those of a step that used several are one line.")
    types: list[CostLine] = Field(description="Types of tasks, as their callers named them; `(none)`: no type.")


class TenantCosts(Part):
    """Costs of the tenants that have spent."""

    since: date
    until: date
    tenants: list[CostLine] = Field(description="The most expensive first.")
    complete: bool = Field(description="True if these are all tenants that have spent.")
