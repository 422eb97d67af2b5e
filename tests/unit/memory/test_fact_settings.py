import pytest

from shared.access.tenants import read_tenants
from shared.config import Settings
from shared.memory.facts.settings import FactSettings, budget_of

TERMS = """
unknown = "free"
[tiers.free]
facts = {tokens = 1_000}
[tenants.acme]
tier = "free"
facts = {model_calls = 3}
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "tenants.toml"
    path.write_text(TERMS)
    yield Settings(tenants=path)
    read_tenants.cache_clear()


def test_a_tenants_budget_for_facts_completes_its_tiers_and_that_the_settings(settings):
    own = FactSettings(memory_facts_day_cost_usd=0.25)
    acme, other = (budget_of(settings, own, each) for each in ("acme", "shop"))
    assert (acme.tokens, acme.output_tokens, acme.model_calls, acme.cost_usd) == (1_000, 1_000, 3, 0.25)
    assert (other.tokens, other.model_calls) == (1_000, 500)
    alone = budget_of(settings.model_copy(update={"tenants": None}), own, "acme")
    assert (alone.tokens, alone.model_calls) == (200_000, 500)
