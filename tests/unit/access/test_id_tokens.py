"""Verification of identity tokens against an issuer of our own making, whose keys and words the tests choose."""

import base64
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.access import id_tokens
from shared.access.id_tokens import Issuer, IssuerUnavailable, UntrustedToken

ADDRESS = "https://id.example.org"


class Words:
    """An issuer's documents, and the tokens that it signs."""

    def __init__(self):
        self.keys = {"one": rsa.generate_private_key(65537, 2048)}
        self.about = {
            "issuer": ADDRESS,
            "authorization_endpoint": f"{ADDRESS}/auth",
            "token_endpoint": f"{ADDRESS}/token",
            "jwks_uri": f"{ADDRESS}/keys",
        }
        self.asked: list[str] = []
        self.down = False
        self.issuer = Issuer(ADDRESS, "waggle", httpx.AsyncClient(transport=httpx.MockTransport(self)))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.down:
            raise httpx.ConnectError("down")
        return httpx.Response(200, json=self.about if request.url.path != "/keys" else {"keys": self._published()})

    def _published(self) -> list[dict]:
        algorithm = jwt.algorithms.RSAAlgorithm
        public = ((name, key.public_key()) for name, key in self.keys.items())
        return [json.loads(algorithm.to_jwk(key)) | {"kid": name, "use": "sig"} for name, key in public]

    def token(self, key: str | None = "one", signer=None, algorithm: str = "RS256", **changes) -> str:
        now = time.time()
        claims = {"iss": ADDRESS, "sub": "ann", "aud": "waggle", "iat": now, "exp": now + 60, "nonce": "n"} | changes
        given = {name: value for name, value in claims.items() if value is not None}
        headers = {} if key is None else {"kid": key}
        return jwt.encode(given, signer or self.keys["one"], algorithm=algorithm, headers=headers)


@pytest.fixture
def words():
    return Words()


async def reason(words: Words, token: str, nonce: str | None = None) -> str:
    with pytest.raises(UntrustedToken) as refused:
        await words.issuer.verify(token, nonce)
    return refused.value.reason


async def test_a_genuine_token_is_accepted_with_its_claims(words):
    assert (await words.issuer.verify(words.token(email="ann@example.com"), "n"))["email"] == "ann@example.com"
    assert (await words.issuer.verify(words.token(aud=["waggle", "other"], azp="waggle")))["sub"] == "ann"
    assert (await words.issuer.verify(words.token(key=None)))["sub"] == "ann"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": -60}, "expired"),
        ({"iat": 600}, "not_yet_valid"),
        ({"nbf": 600}, "not_yet_valid"),
        ({"aud": "other"}, "wrong_audience"),
        ({"aud": ["waggle", "other"], "azp": "other"}, "wrong_audience"),
        ({"iss": "https://evil.example"}, "wrong_issuer"),
        ({"exp": None}, "malformed"),
        ({"aud": None}, "malformed"),
        ({"sub": None}, "malformed"),
        ({"nonce": "another"}, "wrong_nonce"),
        ({"nonce": None}, "wrong_nonce"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused_with_the_reason(words, changes, why):
    now = time.time()
    seconds = {name: now + value for name, value in changes.items() if isinstance(value, int)}
    assert await reason(words, words.token(**changes | seconds), "n") == why


async def test_a_token_by_another_key_or_algorithm_is_refused(words):
    other = rsa.generate_private_key(65537, 2048)
    assert await reason(words, words.token(signer=other)) == "bad_signature"
    assert await reason(words, words.token("mine", signer=other)) == "bad_signature"
    assert await reason(words, words.token(signer=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")) != ""
    assert await reason(words, words.token(signer="a" * 64, algorithm="HS256")) == "malformed"
    _, body, _ = words.token(signer="a" * 64, algorithm="HS256").split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').decode().rstrip("=")
    assert await reason(words, f"{none}.{body}.") == "malformed"
    for text in ("", "a.b.c", "..", "x" * 20_000):
        assert await reason(words, text) == "malformed"


async def test_a_token_without_the_name_of_its_key_is_refused_if_there_are_several(words):
    words.keys["two"] = rsa.generate_private_key(65537, 2048)
    assert await reason(words, words.token(key=None)) == "bad_signature"
    assert (await words.issuer.verify(words.token("two", words.keys["two"])))["sub"] == "ann"


async def test_a_new_key_is_fetched_and_made_up_names_do_not_flood_the_issuer(words, monkeypatch):
    await words.issuer.verify(words.token())
    words.keys["two"] = rsa.generate_private_key(65537, 2048)
    for _ in range(20):
        await reason(words, words.token("two", words.keys["two"]))
    assert words.asked.count("/keys") == 1, "the keys were fetched a moment ago"
    monkeypatch.setattr(id_tokens, "BETWEEN_FETCHES", 0.0)
    await words.issuer.verify(words.token("two", words.keys["two"]))
    assert words.asked.count("/keys") == 2


async def test_an_issuer_that_is_down_is_asked_once_a_second_and_known_keys_still_serve(words, monkeypatch):
    words.down = True
    for _ in range(10):
        with pytest.raises(IssuerUnavailable):
            await words.issuer.verify(words.token())
    assert len(words.asked) == 1
    words.down = False
    monkeypatch.setattr(id_tokens, "AGAIN", 0.0)
    await words.issuer.verify(words.token())
    words.down = True
    monkeypatch.setattr(id_tokens, "FRESH", 0.0)
    await words.issuer.verify(words.token())


@pytest.mark.parametrize("about", [{"issuer": "https://evil.example"}, {"issuer": None}, {"jwks_uri": f"{ADDRESS}/x"}])
async def test_documents_that_are_not_those_of_the_issuer_are_not_used(words, about):
    words.about |= about
    with pytest.raises(IssuerUnavailable):
        await words.issuer.verify(words.token())
