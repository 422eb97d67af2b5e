"""Login with an identity provider: authorization code with PKCE, and an identity token as the visitor's credential.

The gateway verifies the token at every request and decides what it permits; the console only fetches it. State, nonce
and PKCE verifier are derived from a secret in a cookie of its own: any replica can complete a login that another one
has started, and only for the browser that has started it.
"""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.error import ErrorInfo
from services.console.gateway import GatewayFailure
from services.console.settings import ConsoleSettings
from shared.access.id_tokens import LARGEST_DOCUMENT, Issuer, IssuerUnavailable, Metadata, UntrustedToken, client_for

CALLBACK = "login/callback"
"""Path to which the provider sends the browser back."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login under way, in one browser."""

    secret: str

    @classmethod
    def begin(cls) -> Self:
        """Return a new one."""
        return cls(secrets.token_urlsafe(32))

    @property
    def state(self) -> str:
        """Value that the provider sends back."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Value that the token carries."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Value that proves to the provider that the code is redeemed by the one who asked for it."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """Hash of the verifier."""
        return _encoded(sha256(self.verifier.encode()).digest())

    def _derived(self, use: str) -> str:
        return _encoded(hmac.digest(self.secret.encode(), f"waggle console login {use}".encode(), "sha256"))


class _Tokens(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id_token: str


@dataclass(frozen=True, slots=True)
class Credential:
    """An identity token, and the seconds for which it is valid."""

    token: str
    seconds: float


class Identity:
    """The provider that the settings name."""

    def __init__(self, settings: ConsoleSettings, issuer: Issuer, console: str) -> None:
        self._settings = settings
        self._issuer = issuer
        self._client = issuer.audience
        self._redirect = f"{console.rstrip('/')}/{CALLBACK}"

    @classmethod
    def of(cls, settings: ConsoleSettings) -> Self | None:
        """Return the provider; None if the settings name none."""
        address, client, console = settings.oidc_issuer, settings.oidc_client, settings.console_url
        if not (address and client and console):
            return None
        return cls(settings, Issuer(address, client, client_for(address)), console)

    async def close(self) -> None:
        """Close the connections."""
        await self._issuer.http.aclose()

    async def start(self, login: Login) -> str:
        """Return the address at the provider where a login begins. Raises GatewayFailure 503."""
        asked = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self._redirect,
            "scope": self._settings.oidc_scopes,
            "state": login.state,
            "nonce": login.nonce,
            "code_challenge": login.challenge,
            "code_challenge_method": "S256",
        }
        return _with_query((await self._metadata()).authorization_endpoint, asked)

    async def complete(self, login: Login, given: Mapping[str, str]) -> Credential:
        """Return the credential for what the provider sent back. Raises GatewayFailure."""
        if not hmac.compare_digest(login.state.encode(), given.get("state", "").encode()):
            raise _refused("wrong_state", "This answer belongs to another login.")
        if given.get("iss", self._issuer.address) != self._issuer.address or "code" not in given:
            raise _refused("login_refused", "The identity provider did not confirm the login.")
        token = await self._redeem(given["code"], login.verifier)
        try:
            claims = await self._issuer.verify(token, login.nonce)
        except UntrustedToken as wrong:
            raise _refused("untrusted_token", f"The identity provider's token is refused: {wrong.reason}.") from None
        except IssuerUnavailable as down:
            raise _unavailable(down) from None
        return Credential(token, float(claims["exp"]) - time.time())

    async def logout_address(self) -> str | None:
        """Return the address that ends the visitor's session at the provider; None if none is known."""
        try:
            end = (await self._issuer.metadata()).end_session_endpoint
        except IssuerUnavailable:
            return None
        back = self._redirect.removesuffix(CALLBACK) + "login"
        return _with_query(end, {"client_id": self._client, "post_logout_redirect_uri": back}) if end else None

    async def _metadata(self) -> Metadata:
        try:
            return await self._issuer.metadata()
        except IssuerUnavailable as down:
            raise _unavailable(down) from None

    async def _redeem(self, code: str, verifier: str) -> str:
        """Return the token for a code."""
        found = await self._metadata()
        form: dict[str, str] = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect}
        form |= {"code_verifier": verifier, "client_id": self._client}
        auth = self._authentication(found, form)
        try:
            answer = await self._issuer.http.post(found.token_endpoint, data=form, **auth)
        except httpx.HTTPError as gone:
            raise _unavailable(gone) from None
        if not answer.is_success or len(answer.content) > LARGEST_DOCUMENT:
            raise _refused("login_refused", "The identity provider did not accept the login.")
        try:
            return _Tokens.model_validate_json(answer.content).id_token
        except ValidationError:
            raise _refused("login_refused", "The identity provider sent no identity token.") from None

    def _authentication(self, found: Metadata, form: dict[str, str]) -> dict[str, Any]:
        """Return the client's proof as an argument of the request, or add it to the form if only that is supported."""
        secret = self._settings.oidc_secret.get_secret_value() if self._settings.oidc_secret else None
        if secret is None:
            return {}
        if "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            return {"auth": httpx.BasicAuth(_form_encoded(self._client), _form_encoded(secret))}
        form["client_secret"] = secret
        return {}


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _form_encoded(text: str) -> str:
    """Return a name or secret as the standard wants it in the header: encoded as in a form."""
    return urlencode({"": text})[1:]


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"


def _refused(code: str, message: str) -> GatewayFailure:
    return GatewayFailure(400, ErrorInfo(code=code, message=message, suggested_action="Log in again."))


def _unavailable(down: Exception) -> GatewayFailure:
    message = f"The identity provider cannot be reached ({type(down).__name__})."
    action = "Check WAGGLE_OIDC_ISSUER, or log in with a key."
    return GatewayFailure(503, ErrorInfo(code="issuer_unavailable", message=message, suggested_action=action))
