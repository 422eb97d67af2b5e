"""Identity tokens of an OpenID Connect issuer, and their verification.

| a token that | is refused as |
|---|---|
| is no token, or is signed by an algorithm outside the list, such as `none` or one with a shared secret | `malformed` |
| names a key that the issuer does not publish, or was changed after it was signed | `bad_signature` |
| is of another issuer, or for another client | `wrong_issuer`, `wrong_audience` |
| has expired, or is not valid yet | `expired`, `not_yet_valid` |
| belongs to another login | `wrong_nonce` |
"""

import asyncio
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are accepted: by a private key, which the issuer alone has."""

LONGEST_TOKEN = 16_384
LARGEST_DOCUMENT = 1_048_576
"""Bytes of an answer of the issuer that are read: 1 MiB."""

LEEWAY = 30.0
"""Seconds by which the clocks of issuer and verifier may differ."""

FRESH = 3_600.0
"""Seconds for which the issuer's documents are used."""

BETWEEN_FETCHES = 10.0
"""Seconds between fetches for unknown keys, so that made-up tokens cannot flood the issuer."""

AGAIN = 1.0
"""Seconds after a failed first fetch until the next one: requests meanwhile fail at once."""

_TIMEOUT = httpx.Timeout(5.0)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet_valid",
    jwt.InvalidIssuedAtError: "not_yet_valid",
    jwt.InvalidAudienceError: "wrong_audience",
    jwt.InvalidIssuerError: "wrong_issuer",
    jwt.InvalidSignatureError: "bad_signature",
}


class UntrustedToken(Exception):
    """A token that is refused; `reason` is a code of the table above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IssuerUnavailable(Exception):
    """The issuer does not answer, or not as an issuer does."""


class Metadata(BaseModel):
    """The issuer's description of itself, as far as it is used."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = Field(default_factory=lambda: ["client_secret_basic"])


def client_for(issuer: str) -> httpx.AsyncClient:
    """Return a client for requests to an issuer; no proxy is used on this machine."""
    away = urlsplit(issuer).hostname not in _LOOPBACK
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=away, verify=away)


@dataclass(slots=True)
class Issuer:
    """An issuer with its documents, which are fetched when they are needed."""

    address: str
    audience: str
    http: httpx.AsyncClient
    _metadata: Metadata | None = None
    _keys: Mapping[str | None, jwt.PyJWK] = field(default_factory=dict)
    _tried: float = float("-inf")
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def metadata(self) -> Metadata:
        """Return the issuer's description. Raises IssuerUnavailable."""
        await self._refresh(FRESH)
        assert self._metadata is not None, "the documents were fetched"
        return self._metadata

    async def verify(self, token: str, nonce: str | None = None) -> Mapping[str, Any]:
        """Return the claims of a token. Raises UntrustedToken, and IssuerUnavailable if its key cannot be fetched."""
        key = await self._key_of(token)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=self.address,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.InvalidTokenError, ValueError, TypeError) as refused:
            raise UntrustedToken(_REASONS.get(type(refused), "malformed")) from None
        if claims.get("azp", self.audience) != self.audience:
            raise UntrustedToken("wrong_audience")
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise UntrustedToken("wrong_nonce")
        return claims

    async def _key_of(self, token: str) -> jwt.PyJWK:
        """Return the key that a token names; the one key of the issuer for a token that names none."""
        if len(token) > LONGEST_TOKEN:
            raise UntrustedToken("malformed")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise UntrustedToken("malformed") from None
        if header.get("alg") not in ALGORITHMS:
            raise UntrustedToken("malformed")
        name = header.get("kid")
        await self._refresh(FRESH)
        if self._named(name) is None:
            await self._refresh(BETWEEN_FETCHES)
        found = self._named(name)
        if found is None:
            raise UntrustedToken("bad_signature")
        return found

    def _named(self, name: str | None) -> jwt.PyJWK | None:
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name)

    async def _refresh(self, older: float) -> None:
        """Fetch the documents if they are older than so many seconds. Old ones serve while the issuer is down."""
        async with self._fetching:
            if time.monotonic() - self._tried < (older if self._metadata else AGAIN):
                if self._metadata is None:
                    raise IssuerUnavailable("it did not answer a moment ago")
                return
            self._tried = time.monotonic()
            try:
                await self._fetch()
            except IssuerUnavailable:
                if self._metadata is None:
                    raise

    async def _fetch(self) -> None:
        try:
            found = Metadata.model_validate_json(
                await self._read(self.address.rstrip("/") + "/.well-known/openid-configuration")
            )
            if found.issuer != self.address:
                raise IssuerUnavailable("it describes itself as another issuer")
            keys = jwt.PyJWKSet.from_json((await self._read(found.jwks_uri)).decode())
        except (ValidationError, ValueError, jwt.PyJWTError) as wrong:
            raise IssuerUnavailable(f"its description cannot be used: {type(wrong).__name__}") from None
        self._metadata = found
        self._keys = {key.key_id: key for key in keys.keys if key.public_key_use in {None, "sig"}}

    async def _read(self, address: str) -> bytes:
        content = bytearray()
        try:
            async with self.http.stream("GET", address) as answer:
                if not answer.is_success:
                    raise IssuerUnavailable(f"it answered {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > LARGEST_DOCUMENT:
                        raise IssuerUnavailable("its answer is too large")
        except httpx.HTTPError as gone:
            raise IssuerUnavailable(type(gone).__name__) from None
        return bytes(content)
