"""Protection against requests that a foreign web page makes in a person's browser.

| attack | answer |
|---|---|
| a page whose name now resolves to this machine (DNS rebinding) | 421: the Host is not one of the gateway's |
| a page of another origin that sends a form, an upload or a script's request | 403: only reads may be cross-site |

Programs other than browsers send neither `Sec-Fetch-Site` nor `Origin`, and pass.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.access import Refusals
from services.gateway.errors import Refused, error_response
from services.gateway.settings import GatewaySettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

ANY = "*"
"""Entry that accepts every Host."""

EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared with, not bound
"""Bind addresses that name no host."""

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


def hosts_of(settings: GatewaySettings, http_host: str) -> frozenset[str]:
    """Return the accepted Host names of the gateway, in lower case.

    With keys every name is accepted unless some are set: a page that rebinds its name has no key.
    """
    given = frozenset(each.lower() for each in settings.allowed_hosts)
    if settings.principals is not None and not given:
        return frozenset({ANY})
    return given | LOOPBACK | ({http_host.lower()} - EVERYWHERE)


class SameOriginOnly:
    """Middleware that rejects requests of foreign pages before anything of the request is read."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], refusals: Refusals) -> None:
        self._app = app
        self._hosts = hosts
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, or pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = self._refusal(Headers(scope=scope), scope)
        if refused is None:
            return await self._app(scope, receive, send)
        self._refusals.note(refused.error.code, None, scope)
        return await error_response(refused.status_code, refused.error)(scope, receive, send)

    def _refusal(self, headers: Headers, scope: Scope) -> Refused | None:
        if not self._is_own_host(headers.get("host", ""), scope):
            return _UNKNOWN_HOST
        return None if scope["method"] in READS or _same_origin(headers) else _CROSS_SITE

    def _is_own_host(self, host: str, scope: Scope) -> bool:
        """Return true if the Host is ours, or the address the request arrived at, which probes use."""
        name = _hostname(f"//{host}")
        arrived_at = (scope.get("server") or ("",))[0]
        return ANY in self._hosts or name in self._hosts or (name is not None and name == arrived_at)


def _same_origin(headers: Headers) -> bool:
    """Return true unless a page of another origin sends this. Browsers without `Sec-Fetch-Site` send `Origin`."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _hostname(url: str) -> str | None:
    """Return the host in lower case; None for what is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


_UNKNOWN_HOST = Refused(
    421,
    "unknown_host",
    "this Host is not one of the gateway's names",
    action="add the name to the gateway's WAGGLE_ALLOWED_HOSTS",
)

_CROSS_SITE = Refused(
    403, "cross_site", "pages of other origins may only read", action="send the request from a program such as `waggle`"
)
