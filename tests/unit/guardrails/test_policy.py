"""The policy: what is shipped, what an operator and a tenant may change, and what is refused."""

import re

import pytest

from shared.errors import Misconfigured
from shared.guardrails import FindingKind, GuardrailAction, parse_policy, read_policy, screen


def test_the_shipped_policy_names_an_action_for_every_kind_on_both_sides():
    shipped = parse_policy()
    assert set(shipped.input) == set(shipped.output) == set(FindingKind)


def test_an_operators_file_needs_only_what_differs(tmp_path):
    path = tmp_path / "guardrails.toml"
    path.write_text('[input]\nemail = "redact"\n')
    policy = read_policy(path)
    assert policy.action(FindingKind.EMAIL, "input", "default") is GuardrailAction.REDACT
    assert policy.action(FindingKind.SECRET, "input", "default") is GuardrailAction.REDACT


def test_a_tenants_section_overrides_the_general_one_for_that_tenant_only():
    policy = parse_policy('[tenants.acme.input]\nsecret = "reject"\n')
    assert policy.action(FindingKind.SECRET, "input", "acme") is GuardrailAction.REJECT
    assert policy.action(FindingKind.SECRET, "input", "other") is GuardrailAction.REDACT
    assert policy.action(FindingKind.SECRET, "output", "acme") is GuardrailAction.REDACT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[input]\nsecret = "delete"', "input.secret: Input should be 'allow', 'mark', 'redact', 'ask' or 'reject'"),
        ('[input]\nsecrets = "mark"', "input.secrets"),
        ('[inputs]\nsecret = "mark"', "inputs: there is no such entry"),
        ('[output]\nsecret = "ask"', "`ask` is not allowed for outputs (secret)"),
        ('[words.abuse]\npatterns = ["("]', "`(` is not a regular expression"),
        ('[tenants."A B".input]', "tenants.A B"),
        ('phone_regions = ["XX"]', "unknown region XX"),
        ("[input", "WAGGLE_GUARDRAILS is not TOML"),
    ],
)
def test_a_wrong_entry_is_named(text, said):
    with pytest.raises(Misconfigured, match=re.escape(said)):
        parse_policy(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_policy(tmp_path / "none.toml")


def test_the_strictest_action_wins_and_the_rest_are_still_reported():
    policy = parse_policy('[input]\nemail = "redact"\n[words.abuse]\nwords = ["damn"]')
    done = screen("damn, a.b@c.example", policy, "input", tenant="default", where="objective")
    assert done.action is GuardrailAction.REJECT
    assert done.text == "***, [email]"
    assert [str(each) for each in done.tripped] == ["objective is on the list", "objective is an e-mail address"]
