"""Logging in with a key, and out."""

from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.gateway import Gateway, KeyRefused
from services.console.pages import page, path, see_other
from services.console.visitor import LONGEST_KEY, Connections, Visitor, VisitorDep
from shared.config import presentable

router = APIRouter()

_UNKNOWN = ErrorInfo(
    code="unknown_key",
    message="The gateway does not know this key.",
    suggested_action="Copy it again as `waggle keys new` printed it, or ask an operator for one.",
)
_NOT_NEEDED = ErrorInfo(
    code="no_key_needed",
    message="This gateway requires no key, so there is nothing to log in to.",
    suggested_action="Use the console without a login.",
)


@router.get("/login")
async def show_login(visitor: VisitorDep, after: str = "/", out: bool = False) -> Response:
    """The form for the key, and the way to the identity provider; `out`: after a logout."""
    return await _login_page(visitor, 200, local_path(after), out=out)


@router.post("/login")
async def log_in(visitor: VisitorDep) -> Response:
    """Check the key with the gateway and begin a session."""
    form = await visitor.form()
    key, after = form.get("key", ""), local_path(form.get("after", "/"))
    problem = await _problem(visitor, key)
    if problem is not None:
        return await _login_page(visitor, 401, after, failure=problem)
    await visitor.log_in(key)
    return see_other(visitor, after)


@router.post("/logout")
async def log_out(visitor: VisitorDep) -> Response:
    """End the session."""
    await visitor.form()
    await visitor.log_out()
    return see_other(visitor, path("login", out="1"))


async def _login_page(
    visitor: Visitor, status: int, after: str, *, out: bool = False, failure: ErrorInfo | None = None
) -> Response:
    connections: Connections = visitor.request.app.state.connections
    identity = connections.identity
    provider = urlsplit(connections.settings.oidc_issuer or "").hostname
    end = await identity.logout_address() if identity and out else None
    return page(visitor, "login.html", status, after=after, failure=failure, provider=provider, out=out, end=end)


async def _problem(visitor: Visitor, key: str) -> ErrorInfo | None:
    """Return the reason why the gateway does not accept the key; None if it does."""
    if not (key and presentable(key) and len(key) <= LONGEST_KEY):
        return _UNKNOWN
    if not await _is_refused(visitor, None):
        return _NOT_NEEDED
    return _UNKNOWN if await _is_refused(visitor, key) else None


async def _is_refused(visitor: Visitor, key: str | None) -> bool:
    try:
        await Gateway(visitor.gateway.http, key, None).know_me()
    except KeyRefused:
        return True
    return False


def local_path(target: str) -> str:
    """Return the page to open after the login: one of the console's own."""
    simple = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if simple and target.isascii() and target.isprintable() else "/"
