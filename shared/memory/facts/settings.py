"""Settings of the extraction of facts, and what a tenant may spend on it."""

from pydantic import Field

from schemas.budget import Budget
from schemas.message import MOST, MOST_USD
from shared.access.tenants import read_tenants
from shared.config import ServiceSettings, Settings


class FactSettings(ServiceSettings):
    """Facts that the cheap model extracts from turns that have ended, in batches."""

    memory_facts: bool = Field(
        True,
        description="Extract facts with the cheap model. Without a budget turns wait; without a model none is kept.",
    )
    memory_facts_turns: int = Field(6, ge=1, le=20, description="Turns of a session that are read together.")
    memory_facts_idle: float = Field(
        600.0, ge=0, le=604_800, description="Seconds after the last turn of a session after which fewer are read."
    )
    memory_facts_day_tokens: int = Field(
        200_000, ge=0, le=MOST, description="Tokens each tenant may use a day (UTC) for facts, within its own day's."
    )
    memory_facts_day_cost_usd: float = Field(
        0.5, ge=0, le=MOST_USD, description="US dollars each tenant may spend a day on facts."
    )
    memory_facts_day_model_calls: int = Field(
        500, ge=0, le=MOST, description="Model calls each tenant may make a day for facts."
    )


def budget_of(settings: Settings, own: FactSettings, tenant: str) -> Budget:
    """Return what a tenant may spend a day on facts: its own terms (`facts`), else the settings'."""
    tenants = read_tenants(settings.tenants)
    terms = tenants.of(tenant) if tenants else None
    said = terms.facts.model_dump(exclude_none=True) if terms else {}
    general = {
        "tokens": own.memory_facts_day_tokens,
        "cost_usd": own.memory_facts_day_cost_usd,
        "model_calls": own.memory_facts_day_model_calls,
    }
    limits = general | said
    return Budget(**limits, output_tokens=limits["tokens"])


def off_because(settings: Settings, own: FactSettings) -> str | None:
    """Return why no facts are extracted; None if they are."""
    if not own.memory_facts:
        return "WAGGLE_MEMORY_FACTS is off"
    if settings.models is None and settings.openai_base_url is None and _no_key(settings):
        return "no model is configured: set OPENAI_BASE_URL, OPENAI_API_KEY or WAGGLE_MODELS"
    return None


def _no_key(settings: Settings) -> bool:
    return settings.openai_api_key.get_secret_value() in ("", "none")
