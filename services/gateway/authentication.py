"""Authentication: a key of the file of principals, or an identity token of its issuer, before a request is read."""

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.access import CALLER, Caller, Refusals
from services.gateway.errors import Refused, error_response
from shared.access.principals import Principals

if TYPE_CHECKING:
    from services.gateway.persons import Persons

CARDS = ("/.well-known/agent-card.json", "/a2a/.well-known/agent-card.json")
"""Paths of the public agent card of A2A, if it is served."""

CARD_KEYS = "/.well-known/jwks.json"
"""Path of the public keys that sign the card."""

OPEN = frozenset({"/docs", "/openapi.json", *CARDS, CARD_KEYS})
"""Paths of the descriptions of the APIs, which need no key. `/live` and `/ready` need none either and bypass this
module."""


class KeyAuthentication:
    """Middleware that checks the credential before anything of the request is read.

    `principals` None: no key is required.
    """

    def __init__(
        self, app: ASGIApp, principals: Principals | None, persons: "Persons | None", refusals: Refusals
    ) -> None:
        self._app = app
        self._principals = principals
        self._persons = persons
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on with its caller."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        caller = await self._caller(scope)
        if isinstance(caller, Caller):
            return await self._app({**scope, CALLER: caller}, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        return await error_response(caller.status_code, caller.error, caller.headers)(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller | Refused:
        if self._principals is None:
            return Caller(None, None, self._refusals, scope)
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not credential.strip():
            self._refusals.note("no_key", None, scope)
            action = "send `Authorization: Bearer KEY`; `waggle` reads it from WAGGLE_KEY"
            return unauthenticated("the request has no key", action)
        try:
            name = await self._owner(credential.strip(), scope)
        except Refused as refused:
            return refused
        return Caller(name, self._principals.named(name), self._refusals, scope)

    async def _owner(self, credential: str, scope: Scope) -> str:
        """Return the name behind a key or an identity token. Raises Refused."""
        assert self._principals is not None, "a gateway without principals asks for nothing"
        if self._persons is not None and is_token(credential):
            return await self._persons.whose(credential, lambda why: self._refusals.note(why, None, scope))
        name = self._principals.whose(credential)
        if name is None:
            self._refusals.note("unknown_key", None, scope)
            raise unauthenticated("the key is unknown", "ask an operator for a key: `waggle keys new NAME`")
        return name


def persons_of(principals: Principals | None) -> "Persons | None":
    """Return the people whom the issuer of a file of principals authenticates; None without an issuer."""
    if principals is None or principals.oidc is None:
        return None
    from services.gateway.persons import Persons  # noqa: PLC0415 -- tokens' library, for gateways with an issuer alone

    return Persons(principals.oidc)


def is_token(credential: str) -> bool:
    """Return true for a credential in the form of a signed token; no key has a dot in it."""
    return credential.count(".") == 2


def unauthenticated(message: str, action: str) -> Refused:
    """Return the 401 for a caller who is not known."""
    return Refused(401, "unauthenticated", message, action=action, headers={"WWW-Authenticate": "Bearer"})
