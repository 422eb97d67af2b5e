"""The file of agents elsewhere: what it may say, and what is refused with its name."""

import re
from pathlib import Path

import pytest

from infra.embedded.stack import remote_names, service_names
from shared.a2a import RESERVED, Remote, declared_remotes
from shared.errors import Misconfigured

WHOLE = 'card = "https://partner.example"\ndescription = "Books journeys."\n'


@pytest.fixture
def declare(tmp_path):
    """The agents in a file with this content."""

    def declared(content: str):
        (tmp_path / "remotes.toml").write_text(content)
        return declared_remotes(tmp_path / "remotes.toml")

    return declared


def test_an_agent_that_says_only_what_it_must_gets_the_most_restrictive_rules(declare):
    remote = declare(f"[remotes.partner]\n{WHOLE}")["partner"]
    assert (remote.risk, remote.effect, remote.untrusted, remote.confidential) == ("high", "irreversible", False, False)
    assert remote.card_address == "https://partner.example/.well-known/agent-card.json"
    assert remote.allowed == {"partner.example"}


def test_the_names_of_our_own_services_are_reserved():
    assert set(service_names()) <= RESERVED


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("[remotes.partner]\n" + WHOLE.replace("https", "http"), "private = true"),
        (f"[remotes.planner]\n{WHOLE}", "planner: the name belongs to a service"),
        (f"[remotes.partner]\n{WHOLE}kee = 1", "partner.kee: there is no such entry"),
        (f'[remotes.partner]\n{WHOLE}key = "HOME"', "partner.key"),
        ('[remotes.partner]\ncard = "https://user:pw@partner.example"\ndescription = "x"', "partner.card"),
        ('[remotes.partner]\ncard = "https://partner.example"', "partner.description"),
        (f'[remotes."a b"]\n{WHOLE}', "remotes"),
        (f"[remotes.partner]\n{WHOLE}price = -1", "partner.price"),
        ("[remotes", "is not TOML"),
    ],
)
def test_a_wrong_entry_is_named(declare, said, problem):
    with pytest.raises(Misconfigured, match=problem) as refused:
        declare(said)
    assert "WAGGLE_REMOTES" in str(refused.value)
    assert "pw" not in str(refused.value)


def test_a_credential_is_the_value_of_a_variable_that_is_set(declare):
    remote = declare(f'[remotes.partner]\n{WHOLE}key = "PARTNER_KEY"')["partner"]
    assert remote.credential("partner", {"PARTNER_KEY": "abc"}) == {"Authorization": "Bearer abc"}
    with pytest.raises(Misconfigured, match=r"partner\.key names the variable PARTNER_KEY, which is not set"):
        remote.credential("partner", {})
    other = declare(f'[remotes.partner]\n{WHOLE}key = "PARTNER_KEY"\nheader = "X-API-Key"')["partner"]
    assert other.credential("partner", {"PARTNER_KEY": "abc"}) == {"X-API-Key": "abc"}


def test_a_stack_knows_the_agents_of_the_file_that_its_environment_names(tmp_path, declare):
    declare(f"[remotes.partner]\n{WHOLE}")
    assert remote_names({"WAGGLE_REMOTES": str(tmp_path / "remotes.toml")}) == ["partner"]
    assert remote_names({}) == []


def test_the_example_of_the_page_is_a_file_of_agents(declare):
    page = (Path(__file__).parents[3] / "docs" / "a2a.md").read_text()
    [example] = re.findall(r"```toml\n(\[remotes.*?)```", page, re.DOTALL)
    found = declare(example)
    assert set(found) == {"travel", "glossary"}
    assert found["travel"].credential("travel", {"TRAVEL_TOKEN": "t"}) == {"Authorization": "Bearer t"}
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert set(Remote.model_fields) <= set(keys) | {"risk", "effect"}
