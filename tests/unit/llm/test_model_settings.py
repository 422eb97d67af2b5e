"""Models in the settings, their prices, and the use of figures that providers report."""

from types import SimpleNamespace

import pytest

from shared.config import Settings
from shared.errors import Misconfigured
from shared.llm import ModelRole
from shared.llm.endpoints import chains_of
from shared.llm.prices import Price, price_of
from shared.llm.usage import NOTHING, Amount, usage_of
from shared.telemetry.redaction import secrets_of

FILE = """
[roles]
strong = ["main", "spare"]
cheap = ["spare"]
[endpoints.main]
model = "large"
[endpoints.spare]
model = "small"
base_url = "http://spare:1/v1"
requests_per_minute = 7
price = [1, 2.5]
"""


def settings(**more) -> Settings:
    return Settings(openai_base_url="http://main:1/v1", openai_api_key="sk-main-key", **more)


def test_the_plain_variables_name_one_endpoint_for_each_role():
    chains = chains_of(settings(model_strong="a", model_cheap="b"))
    assert {role: [each.model for each in chain] for role, chain in chains.items()} == {
        ModelRole.STRONG: ["a"],
        ModelRole.CHEAP: ["b"],
        ModelRole.JUDGE: ["a"],
    }
    assert chains[ModelRole.STRONG][0].base_url == "http://main:1/v1"


def test_a_file_names_a_chain_and_a_role_it_leaves_out_is_like_the_strong_one(tmp_path):
    file = tmp_path / "models.toml"
    file.write_text(FILE)
    chains = chains_of(settings(models=file, model_requests_per_minute=100))
    assert [each.name for each in chains[ModelRole.STRONG]] == ["main", "spare"]
    assert chains[ModelRole.JUDGE] == chains[ModelRole.STRONG]
    assert [each.requests_per_minute for each in chains[ModelRole.STRONG]] == [100, 7]
    assert chains[ModelRole.CHEAP][0].price == Price(1, 2.5)
    assert ModelRole.EMBED not in chains


def test_a_key_goes_only_to_the_address_it_was_given_for(tmp_path, monkeypatch):
    file = tmp_path / "models.toml"
    file.write_text(FILE)
    keys = [each.api_key.get_secret_value() for each in chains_of(settings(models=file))[ModelRole.STRONG]]
    assert keys == ["sk-main-key", "none"]
    monkeypatch.setenv("WAGGLE_MODEL_KEYS", "spare=the-spare-key")
    given = settings(models=file)
    assert chains_of(given)[ModelRole.CHEAP][0].api_key.get_secret_value() == "the-spare-key"
    assert "the-spare-key" in secrets_of(given)
    assert "the-spare-key" not in repr(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[roles", "is not TOML"),
        ("[roles]\nstrong = ['x']\n[endpoints]", "roles name x"),
        ("[roles]\ncheap = ['x']\n[endpoints.x]\nmodel = 'm'", "no endpoint for `strong`"),
        ("[roles]\nstrong = ['x']\n[endpoints.x]\nmodell = 'm'", "endpoints.x.modell"),
        ("[roles]\nclever = ['x']\n[endpoints.x]\nmodel = 'm'", "roles.clever"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_its_name(tmp_path, text, said):
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=said) as refused:
        chains_of(settings(models=file))
    assert "models.toml" in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        chains_of(settings(models=tmp_path / "none.toml"))


def test_a_model_without_a_price_is_charged_at_the_rate_of_unknown_models():
    price = price_of("somebody-elses-model", {})
    assert not price.known
    assert price.cost_usd(1_000_000, 1_000_000) == 90.0


def test_the_settings_price_comes_first_and_a_dated_version_costs_what_its_model_does(monkeypatch):
    monkeypatch.setenv("WAGGLE_MODEL_PRICES", "large=1.25/10,local=0/0")
    prices = Settings().model_prices
    assert price_of("large-2026-08-07", prices) == Price(1.25, 10)
    assert price_of("local", prices).cost_usd(10**6, 10**6) == 0
    assert price_of("waggle-simulated", prices) == Price(0, 0)
    assert not price_of("large-pro", prices).known


@pytest.mark.parametrize(
    ("told", "tokens", "estimated"),
    [
        ((100, 10), (100, 10), 0),
        (None, (250, 25), 1),
        ((100, 0), (100, 25), 1),
        ((62, 10), (250, 10), 1),
        ((63, 10), (63, 10), 0),
        ((-5, 10), (250, 10), 1),
        (("many", None), (250, 25), 1),
    ],
)
def test_figures_that_cannot_be_are_estimated_and_marked(told, tokens, estimated):
    figures = told and SimpleNamespace(prompt_tokens=told[0], completion_tokens=told[1])
    usage = usage_of(figures, Amount((), 1_000, 1_000), Amount((), 100, 100), Price(1, 1))
    assert (usage.prompt_tokens, usage.completion_tokens) == tokens
    assert usage.estimated == estimated
    assert usage.cost_usd == pytest.approx(sum(tokens) / 1_000_000)


def test_an_empty_reply_may_have_taken_no_tokens():
    told = SimpleNamespace(prompt_tokens=100, completion_tokens=0)
    assert usage_of(told, Amount((), 1_000, 1_000), NOTHING, Price(1, 1)).estimated == 0
