"""Keys and the file that knows their hashes."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.publish import asyncapi
from services.cli.settings import CliSettings
from services.gateway.settings import GatewaySettings
from shared.access.people import People
from shared.access.principals import SIGNED, digest, new_key, read_principals
from shared.access.signing import SIGNATURE, SIGNER, from_secret, new_secret, public_half
from shared.config import presentable
from shared.errors import Misconfigured

HASH = "0" * 64
PUBLIC = public_half(from_secret(new_secret()))


@pytest.fixture
def declare(tmp_path):
    def declared(text: str):
        path = tmp_path / f"{abs(hash(text))}.toml"
        path.write_text(text)
        return path

    return declared


def entry(name: str = "ada", **changes) -> str:
    facts = {"sha256": f'"{HASH}"', "tenants": '["acme"]', "roles": '["read"]'} | changes
    return f"[principals.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in facts.items() if value) + "\n"


def test_a_key_is_random_and_identified_by_its_hash(declare):
    keys = [new_key() for _ in range(100)]
    assert len(set(keys)) == 100
    assert all(len(key) >= 47 and presentable(key) for key in keys)
    found = read_principals(declare(entry("ada", sha256=f'"{digest(keys[0])}"') + entry("bob")))
    assert found.whose(keys[0]) == "ada"
    assert [found.whose(key) for key in (keys[1], "", HASH, digest(keys[0]), keys[0][:-1], "ü")] == [None] * 6


def test_looking_a_key_up_is_the_same_from_every_thread(declare):
    key = new_key()
    found = read_principals(declare(entry(sha256=f'["{HASH}", "{digest(key)}"]')))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(found.whose, [key] * 200)) == {"ada"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry(sha256='"abc"'), "principals.ada.sha256.0: String should match pattern"),
        (entry(sha256="[]"), "principals.ada: it needs a key"),
        (entry(sha256=None), "principals.ada: it needs a key"),
        (entry(ed25519='"AAAA"'), "principals.ada.ed25519.0: a public key is 32 bytes"),
        (entry(ed25519='"wgs_…"'), "principals.ada.ed25519.0: it is not base64"),
        (
            entry() + f'[services.gateway]\ned25519 = ["{PUBLIC}"]\n[services.other]\ned25519 = "{PUBLIC}"',
            "services.other",
        ),
        (entry() + "[services.gateway]\ned25519 = []", "services.gateway.ed25519"),
        (
            entry(ed25519=f'"{PUBLIC}"') + f'[services.gateway]\ned25519 = "{PUBLIC}"',
            "services.gateway.ed25519: the same key is ada's",
        ),
        (entry(roles='["root"]'), "Input should be 'submit', 'viewer', 'contents', 'read', 'decide', 'operate'"),
        (entry(roles="[]"), "principals.ada.roles"),
        (entry(tenants="[]"), "principals.ada.tenants"),
        (entry(tenants='["A B"]'), "principals.ada.tenants.0"),
        (entry(key='"wgl_…"'), "principals.ada.key: there is no such entry"),
        (entry('"a b"'), "principals.a b"),
        (entry() + entry("bob"), "principals.bob.sha256: the same key is ada's"),
        ("", "it needs an entry in `principals`, or the table `oidc`"),
        ("[principals]", "it needs an entry in `principals`, or the table `oidc`"),
        ('[oidc]\nissuer = "http://id.example.org"\naudience = "w"', "oidc.issuer: an issuer is an address such as"),
        ('[oidc]\nissuer = "https://id.example.org"\naudience = "w"\n[oidc.grants]', "oidc.grants: Dictionary"),
    ],
)
def test_a_wrong_entry_is_named(declare, text, said):
    with pytest.raises(Misconfigured, match=re.escape(said)):
        read_principals(declare(text))


def test_a_key_is_in_no_representation_of_the_settings_and_what_is_none_is_refused_without_it():
    key = new_key()
    assert key not in repr(CliSettings(key=key)) + str(CliSettings(key=key))
    with pytest.raises(ValueError, match="it is no key") as refused:
        CliSettings(key="wgl_ with spaces")
    assert "with spaces" not in str(refused.value.errors(include_input=False)[0])


def test_a_signing_key_is_in_no_representation_of_the_settings_and_what_is_none_is_refused_without_it():
    key = new_secret()
    assert key not in repr(GatewaySettings(signing_key=key)) + str(GatewaySettings(signing_key=key))
    with pytest.raises(ValueError, match="it is no signing key") as refused:
        GatewaySettings(signing_key="wgs_short")
    assert "wgs_short" not in str(refused.value.errors(include_input=False)[0])


def test_a_person_may_have_only_a_key_to_sign_with(declare):
    found = read_principals(declare(entry(sha256=None, ed25519=f'["{PUBLIC}"]')))
    assert found.signer("ada") == (PUBLIC,)
    assert (found.signer("bob"), found.signer("services/gateway"), found.whose("")) == ((), (), None)


@pytest.mark.parametrize(
    ("roles", "held"),
    [
        ("read", {"read", "viewer", "contents"}),
        ("submit", {"submit"}),
        ("decide", {"decide"}),
        ("viewer", {"viewer"}),
        ("operator", {"operator", "operate", "viewer"}),
        ("approver", {"approver", "decide", "viewer"}),
        ("admin", {"admin", "submit", "read", "viewer", "contents", "decide", "operate", "curate", "forget", "audit"}),
        ("curate", {"curate", "viewer", "contents"}),
    ],
)
def test_a_role_includes_others(declare, roles, held):
    found = read_principals(declare(entry(roles=f'["{roles}"]'))).principals["ada"]
    assert sorted(found.roles) == sorted(held)


PROVIDER = """
[oidc]
issuer = "https://id.example.org"
audience = "waggle"

[oidc.grants.finance]
members = ["/finance/approvers", "cfo"]
tenants = ["acme"]
roles = ["approver"]
groups = ["finance"]

[oidc.grants.legal]
members = "legal"
tenants = ["acme"]
roles = ["decide", "contents"]
groups = ["legal"]

[oidc.grants.watchers]
members = "everyone"
tenants = ["*"]
roles = ["viewer"]
"""


@pytest.mark.parametrize(
    ("groups", "name"),
    [
        (["cfo"], "ada@x.org as finance"),
        (["legal", "/finance/approvers", "other"], "ada@x.org as finance+legal"),
        (["everyone", "cfo"], "ada@x.org as finance"),
        (["everyone"], "ada@x.org as watchers"),
        (["other"], None),
        ([], None),
    ],
)
def test_a_person_of_the_provider_is_named_with_the_grants_of_their_groups(declare, groups, name):
    assert read_principals(declare(PROVIDER)).oidc.name_of("ada@x.org", groups) == name


def test_the_name_of_a_person_is_enough_to_find_their_rights(declare):
    found = read_principals(declare(PROVIDER + entry("ada")))
    both = found.named("ada@x.org as finance+legal")
    assert (both.person, both.tenants, both.groups) == ("ada@x.org", ("acme",), ("finance", "legal"))
    assert set(both.roles) == {"approver", "decide", "viewer", "contents"}
    assert found.named("ada").tenants == ("acme",)
    assert found.signer("ada@x.org as finance") == (), "only the gateway signs for them"


def test_a_person_counts_once_with_a_key_and_by_every_login(declare):
    key = entry("ada-key", person='"ada@x.org"', roles='["decide"]')
    people = People(read_principals(declare(PROVIDER + key)))
    names = ("ada-key", "ada@x.org as finance", "ada@x.org as finance+legal", "ada@x.org")
    assert {people.person(name) for name in names} == {"ada@x.org"}
    assert people.is_in("ada@x.org as finance", ["finance"])
    assert not people.is_in("ada@x.org as watchers", ["finance"])
    assert people.may_decide("ada@x.org as legal", "acme")
    assert not people.may_decide("ada@x.org as legal", "other")
    assert not people.may_decide("ada@x.org as watchers", "acme")


@pytest.mark.parametrize(
    "name",
    [
        "ada@x.org",
        "ada@x.org as ",
        "ada@x.org as root",
        "ada@x.org as finance+root",
        "ada@x.org as finance+watchers",
        " as finance",
        "a b as finance",
        "a as b as finance",
        "bob",
        "",
    ],
)
def test_a_name_that_no_login_gives_has_no_rights(declare, name):
    assert read_principals(declare(PROVIDER + entry("ada"))).named(name) is None


def test_the_published_document_names_the_orders_and_headers_that_are_signed():
    assert set(asyncapi.SIGNED) == set(SIGNED)
    assert set(asyncapi.SIGNATURE_HEADERS) == {SIGNER, SIGNATURE}
