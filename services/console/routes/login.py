"""Logging in with a key, and out."""

from fastapi import APIRouter
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.gateway import Gateway, GatewayFailure
from services.console.pages import page, path, see_other
from services.console.visitor import LONGEST_KEY, Visitor, VisitorDep
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
async def show_login(visitor: VisitorDep, after: str = "/") -> Response:
    """The form for the key."""
    return page(visitor, "login.html", after=_local(after))


@router.post("/login")
async def log_in(visitor: VisitorDep) -> Response:
    """Check the key with the gateway and begin a session."""
    form = await visitor.form()
    key, after = form.get("key", ""), _local(form.get("after", "/"))
    problem = await _problem(visitor, key)
    if problem is not None:
        return page(visitor, "login.html", 401, after=after, failure=problem)
    await visitor.log_in(key)
    return see_other(visitor, after)


@router.post("/logout")
async def log_out(visitor: VisitorDep) -> Response:
    """End the session."""
    await visitor.form()
    await visitor.log_out()
    return see_other(visitor, path("login"))


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
    except GatewayFailure as failure:
        if failure.status != 401:
            raise
        return True
    return False


def _local(target: str) -> str:
    """Return the page to open after the login: one of the console's own."""
    simple = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if simple and target.isascii() and target.isprintable() else "/"
