"""Logging in with the identity provider."""

import re
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.console.gateway import Gateway
from services.console.identity import Credential, Identity, Login
from services.console.pages import page, path
from services.console.routes.login import local_path
from services.console.routes.run import unknown_page
from services.console.visitor import Connections, Visitor, anonymous

router = APIRouter()

WITHIN = 600
"""Seconds for the login at the provider."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_COOKIE = "waggle_login"


@router.get("/login/provider")
async def start_login(request: Request, after: str = "/") -> Response:
    """Send the browser to the provider. Its cookie comes back with it, as a strict one would not."""
    visitor, identity = anonymous(request), _identity(request)
    if identity is None:
        return unknown_page(visitor)
    login = Login.begin()
    response = RedirectResponse(await identity.start(login), 303)
    value = f"{login.secret}.{quote(local_path(after), safe='')}"
    secure = visitor.cookie.secure
    response.set_cookie(_name(visitor), value, path="/", max_age=WITHIN, secure=secure, httponly=True, samesite="lax")
    return response


@router.get("/login/callback")
async def complete_login(request: Request) -> Response:
    """Begin a session for the person whom the provider has authenticated."""
    visitor, identity = anonymous(request), _identity(request)
    if identity is None:
        return unknown_page(visitor)
    secret, _, after = request.cookies.get(_name(visitor), "").partition(".")
    login = Login(secret) if _SECRET.fullmatch(secret) else Login.begin()  # a login that no answer belongs to
    credential = await identity.complete(login, dict(request.query_params))
    await Gateway(visitor.gateway.http, credential.token, None).know_me()
    await _begin(visitor, credential)
    target = local_path(unquote(after) or path())
    answer = page(visitor, "welcome.html", target=target)
    answer.headers["Refresh"] = f"0;url={target}"
    answer.delete_cookie(_name(visitor), path="/", secure=visitor.cookie.secure, httponly=True, samesite="lax")
    return answer


async def _begin(visitor: Visitor, credential: Credential) -> None:
    """Keep the token for as long as it is valid. The page links on, since a redirect would come without the cookie."""
    connections: Connections = visitor.request.app.state.connections
    longest = connections.settings.console_session
    visitor.secret = await visitor.sessions.open(credential.token, min(credential.seconds, longest))
    visitor.new = True


def _identity(request: Request) -> Identity | None:
    connections: Connections = request.app.state.connections
    return connections.identity


def _name(visitor: Visitor) -> str:
    return f"__Host-{_COOKIE}" if visitor.cookie.secure else _COOKIE
