"""The one way tools reach the web: only public addresses, checked when the connection is made.

A model may be talked into any address, so nothing is trusted but what is dialled. A name is resolved once, every
address it has must be public, and the connection goes to the checked address, while TLS still verifies the name.
Redirects are followed one by one, each checked like a first request. The environment's proxies play no part.
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

from shared.net.retry_after import retry_after
from shared.tools.call import WITHOUT_IT, ToolError
from shared.tools.web.addresses import PORTS, Resolve, is_listed, is_public, joined, parse_url, port, refused, resolve

MAX_BYTES = 5_000_000
MAX_REDIRECTS = 5
ELSEWHERE = f"use another address, or {WITHOUT_IT}"
LATER = f"try it again later in this step, use another address, or {WITHOUT_IT}"
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
REFUSALS = frozenset({301, 307, 308, *range(400, 500)})
"""Statuses of a POST after which nothing has happened over there. Of a failing server that is not known, nor of one
that sends the client to look elsewhere (302, 303)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response read to its end, decompressed."""

    url: str
    """Where it came from, after redirects."""
    status: int
    media_type: str
    """Lower case, without parameters; empty if the server named none."""
    charset: str | None
    body: bytes
    retry_after: float = 0.0
    """Seconds for which the server wants to be left alone."""


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Dials one host: what it resolves to is checked here, and nothing else is dialled."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend, *, listed: bool) -> None:
        self._resolve = resolve
        self._network = network
        self._listed = listed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
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
            raise refused(f"{host} leads to an address that is not public")
        return addresses


class GuardedClient:
    """Fetches and posts. `allow` lists `host` or `host:port` that may be reached although not public.

    `resolve` and `network` are what names and connections come from; a test hands in its own.
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

    async def get(self, url: str) -> Fetched:
        """Fetch a page, following up to five redirects, each checked anew.

        Raises ToolError: `refused_address`, `too_large`, `http_error`, `unsupported_content`, `unreachable`.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(target)
        except TimeoutError as late:
            raise _unreachable(target, f"took longer than {self._timeout:g} s") from late
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as broken:
            raise _unreachable(target, str(broken) or type(broken).__name__) from broken

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Fetched:
        """Post once, following no redirect; of the answer only the status and headers are read.

        Raises ToolError: `refused_address`, `unreachable` and `http_error` when nothing has happened over there, else
        `outcome_unknown`: the connection broke after the request had gone out, or the status does not say.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._timeout):
                answer, _ = await self._exchange("POST", target, content, headers)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as broken:
            raise _unreachable(target, str(broken) or type(broken).__name__) from broken
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as broken:
            raise _outcome_unknown(f"the connection to {target.host} broke before it answered") from broken
        return _taken_in(answer)

    async def _follow(self, url: httpx.URL) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._exchange("GET", url, b"", {})
            if location is None:
                return _successful(answer)
            url = parse_url(str(joined(url, location)))
        message = f"more than {MAX_REDIRECTS} redirects, the last to {url.host}"
        raise ToolError("http_error", message, suggested_action=ELSEWHERE)

    async def _exchange(
        self, method: str, url: httpx.URL, content: bytes, headers: Mapping[str, str]
    ) -> tuple[Fetched, str | None]:
        """One request: its response, and where it redirects to if it does."""
        listed = is_listed(url, self._allow)
        if not listed and port(url) not in PORTS:
            raise refused(f"port {port(url)} is not a web port")
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = list({"Accept-Encoding": "gzip", "User-Agent": "waggle/0.1", **headers}.items())
        network = _CheckedNetwork(self._resolve, self._network, listed=listed)
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


def _taken_in(answer: Fetched) -> Fetched:
    """The answer to a POST, if it says that it was carried out."""
    if 200 <= answer.status < 300:
        return answer
    if answer.status in REFUSALS:
        raise _http_error(answer)
    raise _outcome_unknown(f"{httpx.URL(answer.url).host} answered with status {answer.status}")


def _http_error(answer: Fetched) -> ToolError:
    message = f"{httpx.URL(answer.url).host} answered with status {answer.status}"
    passing = answer.status in TRY_AGAIN
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
        f"{why}; the request may have been carried out",
        suggested_action="do not send it again; say that the outcome is unknown",
    )
