"""The visitor of a request: the cookie's secret, the session's key, the tenant of the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias
from urllib.parse import quote, unquote

import httpx
from fastapi import Depends, Request
from starlette.responses import Response

from services.console.forms import LARGEST_FORM, form_of
from services.console.gateway import Gateway
from services.console.identity import Identity
from services.console.protection import from_elsewhere
from services.console.sessions import Sessions, form_token, new_secret
from services.console.settings import ConsoleSettings

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

LONGEST_KEY = 500
LONGEST_NAME = 200


@dataclass(slots=True)
class Cookie:
    """The visitor's cookie: HttpOnly, for this site alone, and over TLS only if browsers use TLS."""

    secure: bool

    @property
    def name(self) -> str:
        """Name of the cookie; with TLS, one that other hosts of the domain cannot set."""
        return "__Host-waggle_console" if self.secure else "waggle_console"

    def read(self, request: Request) -> str | None:
        """Return the secret, if it has the form of one."""
        given = request.cookies.get(self.name, "")
        return given if _SECRET.fullmatch(given) else None

    def write(self, response: Response, secret: str) -> None:
        """Give the browser a secret, until it is closed."""
        self._set(response, self.name, secret)

    def read_name(self, request: Request) -> str:
        """Return the name that the visitor gave as an author."""
        return unquote(request.cookies.get(f"{self.name}_author", ""))[:LONGEST_NAME]

    def write_name(self, response: Response, name: str) -> None:
        """Let the browser keep the name, until it is closed, so that it is not asked for with each order."""
        self._set(response, f"{self.name}_author", quote(name[:LONGEST_NAME]))

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", secure=self.secure, httponly=True, samesite="strict")


@dataclass(slots=True)
class Visitor:
    """One request's visitor, with or without a key."""

    request: Request
    cookie: Cookie
    sessions: Sessions
    gateway: Gateway
    secret: str
    new: bool = False
    """True if the browser has not got the secret yet."""
    named: str = ""
    """Author that the form of this request names."""

    @property
    def key(self) -> str | None:
        """The key of the session; None without one."""
        return self.gateway.key

    @property
    def tenant(self) -> str | None:
        """The tenant whose runs are shown; None for the gateway's default."""
        return self.gateway.tenant

    @property
    def form_token(self) -> str:
        """The token of this visitor's forms."""
        return form_token(self.secret)

    @property
    def author(self) -> str:
        """The name that this visitor gave last as the author of an order; empty if none."""
        return self.named or self.cookie.read_name(self.request)

    async def form(self, largest: int = LARGEST_FORM) -> Mapping[str, str]:
        """Return the fields of the form that was sent, of at most `largest` bytes; remember the author it names."""
        fields = await form_of(self.request, self.secret, largest)
        self.named = fields.get("by", "")
        return fields

    async def log_in(self, key: str) -> None:
        """Begin a session under a new secret; the one known before the login ends."""
        await self.sessions.close(self.secret)
        self.secret, self.new = await self.sessions.open(key), True

    async def log_out(self) -> None:
        """End the session, and forget its secret."""
        await self.sessions.close(self.secret)
        self.secret, self.new = new_secret(), True

    def keep(self, response: Response) -> Response:
        """Give the browser the secret, if it is a new one; return the response."""
        if self.new:
            self.cookie.write(response, self.secret)
        if self.named:
            self.cookie.write_name(response, self.named)
        return response


@dataclass(frozen=True, slots=True)
class Connections:
    """The console's connections, shared by all requests."""

    settings: ConsoleSettings
    http: httpx.AsyncClient
    sessions: Sessions
    identity: Identity | None = None


def given_tenant(request: Request) -> str | None:
    """Return the tenant that the address names; an empty one counts as none."""
    return request.query_params.get("tenant") or None


class LinkedFromElsewhere(Exception):
    """A link on another site was followed: the browser has withheld the cookie, so that the visitor is unknown."""


async def visitor_of(request: Request) -> Visitor:
    """Return the visitor; one without a cookie gets a secret for the forms.

    Raises LinkedFromElsewhere if the browser may have a cookie, which a new one would replace.
    """
    visitor = request.state.visitor = anonymous(request)
    given = visitor.cookie.read(request)
    if given is None:
        if from_elsewhere(request.headers):
            raise LinkedFromElsewhere
        visitor.new = True
        return visitor
    visitor.secret = given
    key = await visitor.sessions.key_of(given)
    visitor.gateway = Gateway(visitor.gateway.http, key, visitor.tenant)
    return visitor


def anonymous(request: Request) -> Visitor:
    """Return a visitor without a key or a cookie of theirs."""
    connections: Connections = request.app.state.connections
    cookie = Cookie(secure=connections.settings.secure or request.url.scheme == "https")
    gateway = Gateway(connections.http, None, given_tenant(request))
    return Visitor(request, cookie, connections.sessions, gateway, new_secret())


def visitor_in(request: Request) -> Visitor:
    """Return the visitor of a request that failed, as far as known; without a session store, an anonymous one."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    return known or anonymous(request)


VisitorDep: TypeAlias = Annotated[Visitor, Depends(visitor_of)]
