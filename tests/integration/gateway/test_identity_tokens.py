"""People with identity tokens of a real provider at the gateway, and tokens that are not theirs."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.approval import HumanDecided
from shared.access.principals import Principals, read_principals
from shared.blackboard import RunStore
from tests.support.console import Keys, waits
from tests.support.gateway_fixtures import error_of, records_of, serving
from tests.support.identity_provider import CLIENT, Provider, providing


@pytest.fixture(scope="module")
async def provider():
    async with providing("http://127.0.0.1:1/login/callback") as running:
        yield running


@pytest.fixture
def file(provider: Provider, tmp_path):
    keys = Keys(tmp_path / "keys.toml")
    keys.key = keys.add("bob", ["read", "decide"], ("acme",))
    with keys.path.open("a") as end:
        end.write(provider.rules())
    return keys


@pytest.fixture
async def gateway(settings, topics, redis, sentinel, file):
    await waits(RunStore(sentinel, 60), "run-a", tenant="acme")
    async with serving(settings, principals=file.path) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_person_may_do_what_their_groups_are_granted_and_decides_in_their_own_name(
    gateway, provider, settings, file
):
    ann = bearer(await provider.token("ann"))
    run = await gateway.get("/v1/runs/run-a?tenant=acme", headers=ann)
    asked = run.json()["waiting_for"]["request_id"]
    error_of(await gateway.get("/v1/runs/run-a?tenant=other", headers=ann), 403)
    error_of(await gateway.post("/v1/tasks", json={"objective": "x", "tenant": "acme"}, headers=ann), 403)
    body = {"by": "mallory", "request_id": asked, "decision": "approve"}
    sent = await gateway.post("/v1/runs/run-a/decisions?tenant=acme", json=body, headers=ann)
    assert sent.status_code == 202, sent.text
    [record] = await records_of(settings, "decisions", 1)
    name = HumanDecided.read(record.value).by
    assert name == "ann@example.com as approvers"
    principal = read_principals(file.path).named(name)
    assert (principal.person, principal.groups, principal.tenants) == ("ann@example.com", ("finance",), ("acme",))


async def test_keys_work_alongside_identity_tokens(gateway, file):
    assert (await gateway.get("/v1/runs?tenant=acme", headers=bearer(file.key))).status_code == 200


async def test_a_viewer_of_all_tenants_gets_no_other_role_for_them_by_a_second_group(gateway, provider):
    both = bearer(await provider.token("both"))
    assert (await gateway.get("/v1/approvals?tenant=acme", headers=both)).status_code == 200
    error_of(await gateway.get("/v1/approvals?tenant=other", headers=both), 403)
    error_of(await gateway.get("/v1/runs?tenant=other", headers=both), 403)
    vic = bearer(await provider.token("vic"))
    assert (await gateway.get("/v1/runs?tenant=other", headers=vic)).status_code == 200
    error_of(await gateway.get("/v1/approvals?tenant=acme", headers=vic), 403)


@pytest.mark.parametrize(("login", "code"), [("eve", "no_grant"), ("mallory", "no_person")])
async def test_a_person_without_a_grant_or_a_verified_address_gets_nothing(gateway, provider, login, code):
    error = error_of(await gateway.get("/v1/runs", headers=bearer(await provider.token(login))), 403)
    assert error["code"] == code


def forged(token: str, **changes) -> dict[str, str]:
    """Tokens like this one that the provider has not issued, by the reason for which they are refused."""
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    header = jwt.get_unverified_header(token)
    own = rsa.generate_private_key(65537, 2048)
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"email": "root@example.com"}).encode()).decode().rstrip("=")
    mac = jwt.encode(claims, base64.b64encode(public).decode(), algorithm="HS256", headers={"kid": header["kid"]})
    return {
        "changed": f"{head}.{changed}.{signature}",
        "unsigned": f"{head}.{body}.",
        "none": jwt.encode(claims, None, algorithm="none", headers={"kid": header["kid"]}),
        "another key of the same name": jwt.encode(claims, own, algorithm="RS256", headers={"kid": header["kid"]}),
        "an unknown key": jwt.encode(claims, own, algorithm="RS256", headers={"kid": "mine"}),
        "a shared secret": mac,
        "no token": "a.b.c",
        "too long": f"{head}.{body}{'A' * 20_000}.{signature}",
    }


async def test_a_token_that_the_provider_has_not_issued_is_refused(gateway, provider):
    token = await provider.token("ann")
    for what, each in forged(token).items():
        error = error_of(await gateway.get("/v1/runs?tenant=acme", headers=bearer(each)), 401)
        assert error["code"] == "unauthenticated", what
        assert each not in error["message"]
    assert (await gateway.get("/v1/runs?tenant=acme", headers=bearer(token))).status_code == 200


async def test_a_token_of_another_client_and_an_expired_one_are_refused(
    gateway, provider, settings, tmp_path, monkeypatch
):
    other = error_of(await gateway.get("/v1/runs", headers=bearer(await provider.token("ann", "another"))), 401)
    assert "wrong_audience" in other["message"]
    monkeypatch.setattr("shared.access.id_tokens.LEEWAY", 0.0)
    path = tmp_path / "brief.toml"
    path.write_text(provider.rules("waggle-brief"))
    async with serving(settings, principals=path) as client:
        token = await provider.token("ann", "waggle-brief")
        while jwt.decode(token, options={"verify_signature": False})["exp"] > time.time():
            time.sleep(0.1)
        expired = error_of(await client.get("/v1/runs?tenant=acme", headers=bearer(token)), 401)
    assert "expired" in expired["message"]


async def test_a_provider_that_is_gone_is_reported_and_keys_still_work(settings, topics, redis, tmp_path):
    keys = Keys(tmp_path / "keys.toml")
    key = keys.add("bob", ["read"])
    with keys.path.open("a") as end:
        end.write(Provider("http://127.0.0.1:9", "").rules())
    async with serving(settings, principals=keys.path) as client:
        token = jwt.encode({"sub": "ann"}, rsa.generate_private_key(65537, 2048), algorithm="RS256")
        assert error_of(await client.get("/v1/runs", headers=bearer(token)), 503)["code"] == "issuer_unavailable"
        assert (await client.get("/v1/runs", headers=bearer(key))).status_code == 200


def test_the_audience_is_that_of_the_file(file):
    found = read_principals(file.path)
    assert isinstance(found, Principals)
    assert found.oidc.audience == CLIENT
