"""What the file that WAGGLE_TENANTS names may say, and what follows from it for one tenant."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from schemas.budget import Budget, DayBudget
from schemas.message import Slug
from shared.config import Settings, Strict, read_toml

REJECT = "reject"
"""What `unknown` is where tenants without an entry are turned away. No tier has this name."""


class Terms(Strict):
    """What holds for a tier, or differs for one tenant. Of the limits those count that are written down."""

    budget: Budget = Field(default_factory=Budget, description="Limits of a task that does not set them itself.")
    most: Budget = Field(default_factory=Budget, description="What a task may ask for; more is rejected.")
    day: DayBudget = Field(default_factory=DayBudget, description="Limits of all runs of a tenant on one day (UTC).")
    tasks_per_minute: Annotated[int, Field(ge=1)] | None = None
    agents: tuple[Slug, ...] | None = Field(None, min_length=1, description="None: every one.")
    tools: tuple[str, ...] | None = Field(None, description="None: every one its agents have.")

    @property
    def ceilings(self) -> dict[str, Any]:
        """Limit → what may be asked for at most; of those that are not named any amount."""
        return said(self.most)

    @property
    def defaults(self) -> dict[str, Any]:
        """Limit → what a task gets that does not set it; never more than it may ask for."""
        usual = {name: min(getattr(Budget(), name), most) for name, most in self.ceilings.items()}
        return usual | said(self.budget)


class Tenant(Terms):
    """One tenant: its tier, and what differs for it."""

    tier: Slug | None = None

    def over(self, general: Terms) -> Terms:
        """Its own terms, and of its tier's what they leave open: limit by limit, lists as a whole."""
        own = {name: each for name, each in said(self).items() if name != "tier"}
        limits = {name: said(getattr(general, name)) | said(getattr(self, name)) for name in ("budget", "most", "day")}
        return Terms.model_validate(said(general) | own | limits)


class Tenants(Strict):
    """The whole file."""

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
        """What holds for a tenant; None: it is to be turned away."""
        own = self.tenants.get(tenant)
        if own is None:
            return self.tiers.get(self.unknown)
        return own.over(self.tiers[own.tier]) if own.tier else own

    def _everybody(self) -> dict[str, Terms]:
        tenants = {f"tenants.{name}": terms for name in self.tenants if (terms := self.of(name))}
        return {f"tiers.{name}": terms for name, terms in self.tiers.items()} | tenants


def said(table: Strict | Budget | DayBudget) -> dict[str, Any]:
    """What somebody has written down: defaults are left out."""
    return {name: getattr(table, name) for name in table.model_fields_set if name in type(table).model_fields}


def _check(where: str, terms: Terms) -> None:
    """Raises ValueError for a default that nobody may ask for."""
    given = said(terms.budget)
    for name, most in terms.ceilings.items():
        if name in given and given[name] > most:
            raise ValueError(f"{where}.budget.{name} is {given[name]}, more than {where}.most.{name}, which is {most}")


@lru_cache(maxsize=8)
def read_tenants(path: Path | None) -> Tenants | None:
    """The tenants in a file, read once in a process; None without one. Raises Misconfigured."""
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
