"""Web client of the tools: reaches only public addresses, checked when the connection is made.

A model may be talked into any address, so only the dialled address counts. A name is resolved once, each of its
addresses must be public, and the connection goes to the checked address, while TLS still verifies the name. Redirects
are followed one by one, each checked like a first request. The environment's proxies are ignored.
"""

import asyncio
import ssl
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache

import httpcore
import httpx

from shared.resilience.retry_after import retry_after
from shared.tools.call import WITHOUT_IT, ToolError
from shared.tools.web.addresses import PORTS, Resolve, is_listed, is_public, joined, parse_url, port, refused, resolve

MAX_BYTES = 5_000_000
MAX_REDIRECTS = 5
ELSEWHERE = f"use another address, or {WITHOUT_IT}"
LATER = f"retry it later in this step, use another address, or {WITHOUT_IT}"
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
REFUSALS = frozenset({301, 307, 308, *range(400, 500)})
"""Statuses of a POST that mean it had no effect. A server error leaves the outcome unknown, and so does a redirect to
another page (302, 303)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete response, decompressed."""

    url: str
    """Final URL, after redirects."""
    status: int
    media_type: str
    """Lower case, without parameters; empty if the server sends none."""
    charset: str | None
    body: bytes
    retry_after: float = 0.0
    """Retry-After, in seconds."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Dials one host, only at addresses checked after resolving its name."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend, *, listed: bool) -> None:
        self._resolve = resolve
        self._network = network
        self._listed = listed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first checked address that answers. Raises ToolError `refused_address`."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("no address")
        for address in await self._checked(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                failure = failed
        raise failure

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as unknown:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved") from unknown
        hidden = [address for address in addresses if not is_public(address)]
        if hidden and not self._listed:
            raise refused(f"{host} resolves to an address that is not public")
        return addresses


class GuardedClient:
    """Fetches and posts. `allow` lists non-public `host` or `host:port` that may be reached.

    `resolve` and `network` provide name resolution and connections; tests pass their own.
    """

    def __init__(
        self,
        allow: Collection[str] = (),
        *,
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
        max_bytes: int = MAX_BYTES,
        timeout: float = 20.0,
    ) -> None:
        self._allow = allow
        self._resolve = resolve
        self._network = network or httpcore.AnyIOBackend()
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """Fetch a page, following up to five redirects, each checked like a first request.

        `headers` may hold credentials: a redirect to another scheme, host or port does not get them. Raises ToolError:
        `refused_address`, `too_large`, `http_error`, `unsupported_content`, `unreachable`.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(target, headers or {})
        except TimeoutError as late:
            raise _unreachable(target, f"took longer than {self._timeout:g} s") from late
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as broken:
            raise _unreachable(target, str(broken) or type(broken).__name__) from broken

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Fetched:
        """Post once, without following redirects; only status and headers of the answer are read.

        Raises ToolError: `refused_address`, `unreachable` or `http_error` if the request had no effect, else
        `outcome_unknown`: the connection broke after the request was sent, or the status is inconclusive.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._timeout):
                answer, _ = await self._exchange("POST", target, content, headers)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as broken:
            raise _unreachable(target, str(broken) or type(broken).__name__) from broken
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as broken:
            raise _outcome_unknown(f"the connection to {target.host} broke before it answered") from broken
        return _accepted(answer)

    async def _follow(self, url: httpx.URL, headers: Mapping[str, str]) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._exchange("GET", url, b"", headers)
            if location is None:
                return _successful(answer)
            origin, url = _origin(url), parse_url(str(joined(url, location)))
            headers = headers if _origin(url) == origin else {}
        message = f"more than {MAX_REDIRECTS} redirects, the last to {url.host}"
        raise ToolError("http_error", message, suggested_action=ELSEWHERE)

    async def _exchange(
        self, method: str, url: httpx.URL, content: bytes, headers: Mapping[str, str]
    ) -> tuple[Fetched, str | None]:
        """Send one request; return its response, and its redirect target if any."""
        listed = is_listed(url, self._allow)
        if not listed and port(url) not in PORTS:
            raise refused(f"port {port(url)} is not a web port")
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = list({"Accept-Encoding": "gzip", "User-Agent": "waggle/0.1", **headers}.items())
        network = CheckedNetwork(self._resolve, self._network, listed=listed)
        async with (
            httpcore.AsyncConnectionPool(ssl_context=_tls(), network_backend=network, max_connections=1) as pool,
            pool.stream(method, target, headers=sent, content=content, extensions=self._limits()) as response,
        ):
            received = httpx.Headers(response.headers)
            location = received.get("location") if 300 <= response.status < 400 else None
            body = b"" if location or method == "POST" else await self._body(response, received)
        return _fetched(url, response.status, received, body), location

    def _limits(self) -> dict[str, dict[str, float]]:
        return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)}

    async def _body(self, response: httpcore.Response, headers: httpx.Headers) -> bytes:
        size = headers.get("content-length", "")
        if size.isdecimal() and int(size) > self._max_bytes:
            raise self._too_large()
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        return self._decompressed(bytes(body), headers.get("content-encoding", "identity").strip().lower())

    def _decompressed(self, body: bytes, encoding: str) -> bytes:
        if encoding in ("", "identity") or not body:
            return body
        if encoding not in ("gzip", "x-gzip"):
            raise _unsupported(f"content encoding {encoding[:40]!r} was not asked for")
        try:
            whole = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, self._max_bytes + 1)
        except zlib.error:
            raise _unsupported(f"the body is not {encoding}, as its header says") from None
        if len(whole) > self._max_bytes:
            raise self._too_large()
        return whole

    def _too_large(self) -> ToolError:
        message = f"the response is larger than {self._max_bytes:,} bytes"
        return ToolError("too_large", message, suggested_action=ELSEWHERE)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, port(url)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _fetched(url: httpx.URL, status: int, headers: httpx.Headers, body: bytes) -> Fetched:
    content_type = Message()
    content_type["content-type"] = headers.get("content-type", "")
    media_type = content_type.get_content_type() if "content-type" in headers else ""
    return Fetched(str(url), status, media_type, content_type.get_content_charset(), body, retry_after(headers))


def _successful(answer: Fetched) -> Fetched:
    if 200 <= answer.status < 300:
        return answer
    raise _http_error(answer)


def _accepted(answer: Fetched) -> Fetched:
    """Return the answer to a POST if it reports success."""
    if 200 <= answer.status < 300:
        return answer
    if answer.status in REFUSALS:
        raise _http_error(answer)
    raise _outcome_unknown(f"{httpx.URL(answer.url).host} answered with status {answer.status}")


def _http_error(answer: Fetched) -> ToolError:
    message = f"{httpx.URL(answer.url).host} answered with status {answer.status}"
    passing = answer.status in RETRYABLE
    action = LATER if passing else ELSEWHERE
    return ToolError("http_error", message, retryable=passing, suggested_action=action, after=answer.retry_after)


def _unsupported(why: str) -> ToolError:
    return ToolError("unsupported_content", why, suggested_action=ELSEWHERE)


def _unreachable(url: httpx.URL, why: str) -> ToolError:
    message = f"{url.host} could not be reached: {why}"
    return ToolError("unreachable", message, retryable=True, suggested_action=LATER)


def _outcome_unknown(why: str) -> ToolError:
    return ToolError(
        "outcome_unknown",
        f"{why}; the request may have taken effect",
        suggested_action="do not repeat it; say that the outcome is unknown",
    )
