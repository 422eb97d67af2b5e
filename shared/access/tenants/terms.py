"""Contents of the file that WAGGLE_TENANTS names, and the terms of one tenant."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from schemas.budget import Budget, DayBudget
from schemas.message import Slug
from shared.config import Settings, Strict, read_toml

_LIMITS = ("budget", "most", "day", "facts")
"""Tables of limits, which a tenant's terms complete one by one."""

REJECT = "reject"
"""Value of `unknown` that refuses tenants without an entry. No tier has this name."""


class Terms(Strict):
    """Terms of a tier, or those that differ for one tenant. Only the limits written down count."""

    budget: Budget = Field(default_factory=Budget, description="Limits of a task that does not set them itself.")
    most: Budget = Field(default_factory=Budget, description="Largest limits a task may ask for; more is rejected.")
    day: DayBudget = Field(default_factory=DayBudget, description="Limits of all runs of a tenant on one day (UTC).")
    facts: DayBudget = Field(
        default_factory=DayBudget, description="Limits of the extraction of facts on one day (UTC)."
    )
    tasks_per_minute: Annotated[int, Field(ge=1)] | None = None
    agents: tuple[Slug, ...] | None = Field(None, min_length=1, description="None: all.")
    tools: tuple[str, ...] | None = Field(None, description="None: all its agents have.")

    @property
    def ceilings(self) -> dict[str, Any]:
        """Limit → largest amount; limits that are not named have none."""
        return said(self.most)

    @property
    def defaults(self) -> dict[str, Any]:
        """Limit → default for a task that does not set it; never above the largest amount."""
        usual = {name: min(getattr(Budget(), name), most) for name, most in self.ceilings.items()}
        return usual | said(self.budget)


class Tenant(Terms):
    """One tenant: its tier, and its differences from it."""

    tier: Slug | None = None

    def over(self, general: Terms) -> Terms:
        """Return its own terms, completed by its tier's: limit by limit, lists as a whole."""
        own = {name: each for name, each in said(self).items() if name != "tier"}
        limits = {name: said(getattr(general, name)) | said(getattr(self, name)) for name in _LIMITS}
        return Terms.model_validate(said(general) | own | limits)


class Tenants(Strict):
    """Content of the file."""

    unknown: Slug = Field(REJECT, description="The tier of tenants without an entry; or `reject`.")
    tiers: dict[Slug, Terms] = Field(default_factory=dict)
    tenants: dict[Slug, Tenant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        named = {"unknown": self.unknown} | {f"tenants.{name}.tier": each.tier for name, each in self.tenants.items()}
        if REJECT in self.tiers:
            raise ValueError(f"tiers.{REJECT}: no tier can have this name")
        for where, tier in named.items():
            if tier not in {*self.tiers, REJECT if where == "unknown" else None}:
                raise ValueError(f"{where}: there is no tier `{tier}`; there are: {', '.join(self.tiers) or 'none'}")
        for where, terms in self._everybody().items():
            _check(where, terms)
        return self

    def of(self, tenant: str) -> Terms | None:
        """Return the terms of a tenant; None: it is refused."""
        own = self.tenants.get(tenant)
        if own is None:
            return self.tiers.get(self.unknown)
        return own.over(self.tiers[own.tier]) if own.tier else own

    def _everybody(self) -> dict[str, Terms]:
        tenants = {f"tenants.{name}": terms for name in self.tenants if (terms := self.of(name))}
        return {f"tiers.{name}": terms for name, terms in self.tiers.items()} | tenants


def said(table: Strict | Budget | DayBudget) -> dict[str, Any]:
    """Return the entries that are written down, without defaults."""
    return {name: getattr(table, name) for name in table.model_fields_set if name in type(table).model_fields}


def _check(where: str, terms: Terms) -> None:
    """Raises ValueError for a default above the largest amount."""
    given = said(terms.budget)
    for name, most in terms.ceilings.items():
        if name in given and given[name] > most:
            raise ValueError(f"{where}.budget.{name} is {given[name]}, more than {where}.most.{name}, which is {most}")


@lru_cache(maxsize=8)
def read_tenants(path: Path | None) -> Tenants | None:
    """Return the tenants of a file, read once per process; None without a file. Raises Misconfigured."""
    return None if path is None else read_toml(path, Tenants, "WAGGLE_TENANTS")


def day_budget(settings: Settings, tenant: str) -> DayBudget:
    """Return the limits of all runs of a tenant on one day: its own, else the settings'."""
    tenants = read_tenants(settings.tenants)
    terms = tenants.of(tenant) if tenants else None
    own = terms.day.model_dump(exclude_none=True) if terms else {}
    general = {
        "tokens": settings.day_tokens,
        "cost_usd": settings.day_cost_usd,
        "model_calls": settings.day_model_calls,
    }
    return DayBudget(**(general | own))
