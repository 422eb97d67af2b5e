"""Protection of visitors against other pages: headers of every answer, the hosts accepted, the origin of forms.

| attack | answer |
|---|---|
| text that a browser would run or load | a content security policy that allows only the console's own files |
| a page that frames the console | `frame-ancestors 'none'` |
| a page whose name is rebound to this address | 421: the Host is not the console's |
| a form that a page of another origin sends | 403, before it is read; a form needs the visitor's token, too |
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

READS = frozenset({"GET", "HEAD"})
"""Methods that change nothing here."""

STATIC = "/static/"

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Headers of every answer."""

_TLS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}


class Protection:
    """Refuses requests of other origins' pages, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], *, secure: bool) -> None:
        self._app = app
        self._hosts = LOOPBACK | {each.lower() for each in hosts}
        self._headers = {**HEADERS, **(_TLS_ONLY if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, or pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        kept = "max-age=3600" if scope["path"].startswith(STATIC) else "no-store"

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**self._headers, "Cache-Control": kept})
            await send(message)

        refused = self._refusal(Headers(scope=scope), scope)
        return await (refused or self._app)(scope, receive, protected)

    def _refusal(self, headers: Headers, scope: Scope) -> ASGIApp | None:
        if not self._addressed(headers.get("host", ""), scope):
            return PlainTextResponse("The console is not known by this Host: set WAGGLE_CONSOLE_URL.", 421)
        if scope["method"] not in READS and not _same_origin(headers):
            return PlainTextResponse("Forms of other pages are refused: open the console itself.", 403)
        return None

    def _addressed(self, host: str, scope: Scope) -> bool:
        """Return True if the Host is the console's, or the address at which the request arrived."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (name in self._hosts or name == (scope.get("server") or ("",))[0])


def _same_origin(headers: Headers) -> bool:
    """Return True unless the browser says that another origin's page sends this.

    Over plain HTTP to a name other than loopback a browser says nothing, and `Origin` is `null` because of the
    referrer policy: there the form's token alone decides.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin in {None, "null"} or str(origin).partition("://")[2].lower() == headers.get("host", "").lower()


def from_elsewhere(headers: Headers) -> bool:
    """Return True for a link on another site: the browser withholds the cookie, although the visitor may have one."""
    return headers.get("sec-fetch-site") in {"cross-site", "same-site"}
