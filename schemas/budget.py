"""Budget of a run and its usage."""

from pydantic import ConfigDict, Field

from schemas.message import MOST, MOST_SECONDS, MOST_USD, Count, Part


class Budget(Part):
    """Limits of one run, across all services.

    Unknown fields are rejected, so that a misspelt limit is not silently missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(400_000, ge=0, le=MOST, description="Prompt and completion tokens together.")
    output_tokens: int = Field(50_000, ge=0, le=MOST, description="Completion tokens.")
    cost_usd: float = Field(2.0, ge=0, le=MOST_USD, description="Cost of model calls, in US dollars.")
    model_calls: int = Field(80, ge=0, le=MOST, description="Model calls.")
    tool_calls: int = Field(25, ge=0, le=MOST, description="Tool calls.")
    steps: int = Field(12, ge=1, le=40, description="Maximum steps in a plan; in shape `swarm`, agents along the path.")
    seconds: float = Field(
        120.0,
        gt=0,
        le=MOST_SECONDS,
        description="Wall clock from intake to result, excluding time spent waiting for people.",
    )

    def exceeded_by(self, usage: "Usage", more: "Usage | None" = None) -> str | None:
        """Return a sentence naming the first limit that `usage` plus `more` exceeds; None if all hold."""
        used = by_limit(usage)
        for name, amount in by_limit(usage + more if more else usage).items():
            limit = getattr(self, name)
            if amount > limit:
                spent = f"budget.{name} is {limit}, and {used[name]:g} of it {'is' if used[name] == 1 else 'are'} used"
                return spent + (", another call would exceed it" if more else "")
        return None

    def share(self, usage: "Usage") -> tuple[float, str]:
        """Return the used fraction (1.0 is all) of the most used limit, and that limit's name."""
        return max(
            (amount / limit if limit else float(amount > 0), name)
            for name, amount in by_limit(usage).items()
            for limit in [getattr(self, name)]
        )

    def less(self, usage: "Usage") -> "Budget":
        """Return what remains after `usage`; never below zero."""
        return self.model_copy(
            update={
                "tokens": max(0, self.tokens - usage.prompt_tokens - usage.completion_tokens),
                "output_tokens": max(0, self.output_tokens - usage.completion_tokens),
                "cost_usd": max(0.0, self.cost_usd - usage.cost_usd),
                "model_calls": max(0, self.model_calls - usage.model_calls),
                "tool_calls": max(0, self.tool_calls - usage.tool_calls),
            }
        )


class DayBudget(Part):
    """Limits of all runs of one tenant together, per UTC day. An omitted limit does not apply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int | None = Field(None, ge=0, le=MOST, description="Prompt and completion tokens together.")
    cost_usd: float | None = Field(None, ge=0, le=MOST_USD, description="Cost of model calls, in US dollars.")
    model_calls: int | None = Field(None, ge=0, le=MOST, description="Model calls.")


class Usage(Part):
    """Resources used. Adds up with `+`; a sum saturates at the bound of its field."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost_usd: float = Field(0.0, ge=0, le=MOST_USD, description="US dollars, by the price list of the calling service.")
    model_calls: Count = 0
    tool_calls: Count = 0
    estimated: int = Field(
        0,
        ge=0,
        le=MOST,
        description="Model calls whose tokens are estimated because the provider reported no plausible figures.",
    )

    def __add__(self, other: "Usage") -> "Usage":
        sums = {name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        return Usage(**{name: min(amount, MOST_USD if name == "cost_usd" else MOST) for name, amount in sums.items()})


def by_limit(usage: Usage) -> dict[str, float]:
    """Return the usage by the limit it counts towards."""
    return {
        "tokens": usage.prompt_tokens + usage.completion_tokens,
        "output_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
        "model_calls": usage.model_calls,
        "tool_calls": usage.tool_calls,
    }
